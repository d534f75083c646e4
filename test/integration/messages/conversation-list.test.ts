import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import {
  BACKLOG,
  CHANGES,
  CONVERSATIONS,
  PAGE_AFTER,
  PAGE_BEFORE,
} from '../../../src/messages/read-statements.postgres.ts'
import { PostgresMessageReads } from '../../../src/messages/reads.postgres.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { PLANNER_SETTINGS } from '../../../src/postgres/session-settings.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { figure } from '../../support/figures.ts'
import { type Cost, costOfExecuting } from '../../support/plan-cost.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const CONVERSATIONS_OF_ME = 1000
const UNREAD = 20
const LIMIT = 101
const END = [String(Number.MAX_SAFE_INTEGER), '0']

/** One user "me" with 1,000 conversations of so many messages each, in half of them the lower of the two people. */
class Filled {
  readonly #database: TestDatabase
  readonly client: pg.Client
  readonly #each: number

  private constructor(database: TestDatabase, each: number) {
    this.#database = database
    this.#each = each
    this.client = new pg.Client(parseDsn(database.dsn))
  }

  static async create(each: number): Promise<Filled> {
    const filled = new Filled(await createDatabase(), each)
    await filled.client.connect()
    for (const [name, value] of PLANNER_SETTINGS) await filled.client.query(`set ${name} = ${value}`)
    await filled.#fill()
    return filled
  }

  get dsn(): string {
    return this.#database.dsn
  }

  async drop(): Promise<void> {
    await this.client.end()
    await this.#database.drop()
  }

  async #fill(): Promise<void> {
    // The order in which conversations were last written in is not the order of their ids.
    await this.client.query(
      `insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at,
         lo_delivered_seq, lo_read_seq, hi_delivered_seq, hi_read_seq)
       select least('me', peer), greatest('me', peer), $1::int8, at, at, $1::int8 - $2, $1::int8 - $2, $1::int8 - $2, $1::int8 - $2
       from (select case when n % 2 = 0 then 'a' else 'z' end || n as peer, now() - make_interval(secs => n * 7919 % 1000) as at
         from generate_series(1, $3::int) n) peers`,
      [this.#each, UNREAD, CONVERSATIONS_OF_ME],
    )
    await this.client.query(
      `insert into messages (conversation_id, seq, id, sender_id, content, created_at)
       select conversation_id, seq, gen_random_uuid(), case when user_lo = 'me' then user_hi else user_lo end, 'text', now()
       from conversations, generate_series(1, $1::int) seq order by conversation_id, seq`,
      [this.#each],
    )
    // One more conversation, in which somebody else talks to nobody but oneself.
    await this.client.query(`with c as (
        insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
        values ('chatty', 'silent', 20000, now(), now()) returning conversation_id)
      insert into messages (conversation_id, seq, id, sender_id, content, created_at)
      select conversation_id, seq, gen_random_uuid(), 'chatty', 'text', now() from c, generate_series(1, 20000) seq`)
    // And other people's, so that a look at all conversations would show.
    await this.client.query(`insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
      select 'other' || n, 'p' || n % 500, 1, now(), now() from generate_series(1, 50000) n`)
    // Plans depend on statistics, which autovacuum would gather a minute later.
    await this.client.query('vacuum analyze')
  }

  /** What the statement costs with a plan made for these values, and with the one plan that fits all. */
  async cost(text: string, types: string, values: readonly string[]): Promise<{ custom: Cost; generic: Cost }> {
    await this.client.query(`prepare examined (${types}) as ${text}`)
    const costs: Cost[] = []
    for (const mode of ['force_custom_plan', 'force_generic_plan']) {
      await this.client.query(`set plan_cache_mode = ${mode}`)
      costs.push(await costOfExecuting(this.client, 'examined', values))
    }
    await this.client.query('deallocate examined')
    const [custom, generic] = costs
    if (!custom || !generic) throw new Error('no plan')
    return { custom, generic }
  }
}

let large: Filled
let small: Filled

beforeAll(async () => {
  const startedMs = performance.now()
  ;[small, large] = await Promise.all([Filled.create(100), Filled.create(1000)])
  figure(`filled in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
})
afterAll(async () => {
  await Promise.all([large.drop(), small.drop()])
})

/** The same statement over 1,000,000 messages and over a tenth of them must cost the same. */
async function compare(name: string, text: string, types: string, values: (each: number) => string[]): Promise<Cost[]> {
  const [over, under] = [await large.cost(text, types, values(1000)), await small.cost(text, types, values(100))]
  figure(`${name}: 1,000,000 messages`, JSON.stringify(over.generic), '100,000', JSON.stringify(under.generic))
  for (const plan of ['custom', 'generic'] as const) {
    expect(over[plan].scans.filter((scan) => scan.startsWith('Seq Scan'))).toEqual([])
    expect(over[plan].messages).toBe(under[plan].messages)
    // A larger index is a level deeper, and rows spread over other pages.
    expect(over[plan].blocks).toBeLessThanOrEqual(under[plan].blocks * 2)
  }
  return [over.custom, over.generic]
}

describe('costs what it returns, not what is stored', () => {
  test('the conversation list', async () => {
    const types = 'text, int8, int8, int8'
    for (const cost of await compare('conversations', CONVERSATIONS.text, types, () => ['me', String(LIMIT), ...END])) {
      expect(cost.messages).toBe(LIMIT * (1 + UNREAD))
      expect(cost.conversations).toBeLessThanOrEqual(CONVERSATIONS_OF_ME)
      expect(cost.blocks).toBeLessThan(CONVERSATIONS_OF_ME + 12 * LIMIT)
    }
  })

  test('the conversation list of somebody who reads nothing of a monologue, or holds one', async () => {
    for (const user of ['chatty', 'silent']) {
      const cost = await large.cost(CONVERSATIONS.text, 'text, int8, int8, int8', [user, String(LIMIT), ...END])
      expect(cost.generic.messages).toBeLessThanOrEqual(1001)
      expect(cost.custom.messages).toBeLessThanOrEqual(1001)
    }
  })

  test('a page of history', async () => {
    const before = await compare('page before', PAGE_BEFORE.text, 'text, text, int8, int8', (each) => [
      'a500',
      'me',
      String(each - 10),
      '51',
    ])
    const after = await compare('page after', PAGE_AFTER.text, 'text, text, int8, int8, int8', () => [
      'a500',
      'me',
      '30',
      String(Number.MAX_SAFE_INTEGER),
      '51',
    ])
    for (const cost of [...before, ...after]) {
      expect(cost.messages).toBe(51)
      expect(cost.blocks).toBeLessThan(30)
    }
  })

  test('the backlog and the changes of a user, without a look at any message', async () => {
    const costs = [
      ...(await compare('backlog', BACKLOG.text, 'text', () => ['me'])),
      ...(await compare('changes', CHANGES.text, 'text, float8', () => ['me', '0'])),
    ]
    for (const cost of costs) expect(cost).toMatchObject({ messages: 0, conversations: CONVERSATIONS_OF_ME })
  })
})

describe('the conversation list', () => {
  let database: Database
  let reads: PostgresMessageReads

  beforeAll(async () => {
    database = await openDatabase({ dsn: large.dsn, dataDir: '', poolMax: 2, logger: silentLogger })
    reads = new PostgresMessageReads(database.reader)
  })
  afterAll(async () => {
    await database.writerConnection.close()
    await database.close()
  })

  test('gives every conversation once, newest first, a page at a time, with what is unread', async () => {
    const seen: string[] = []
    let cursor: string | undefined
    const startedMs = performance.now()
    do {
      const page = await reads.conversations('me', 100, cursor)
      expect(page.conversations.length).toBe(100)
      for (const one of page.conversations) {
        expect(one).toMatchObject({
          last_seq: 1000,
          read_seq: 1000 - UNREAD,
          unread: UNREAD,
          last_message: { seq: 1000 },
        })
        expect(one.last_message?.sender_id).toBe(one.with)
        seen.push(one.with)
      }
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
    figure(`ten pages of 100 conversations in ${(performance.now() - startedMs).toFixed(0)} ms`)
    expect(new Set(seen).size).toBe(CONVERSATIONS_OF_ME)
    const { rows } = await large.client.query<{ peer: string }>(
      `select case when user_lo = 'me' then user_hi else user_lo end as peer from conversations
       where 'me' in (user_lo, user_hi) order by last_message_at desc, conversation_id desc`,
    )
    expect(seen).toEqual(rows.map(({ peer }) => peer))
  })

  test('counts unread messages up to 100', async () => {
    const { conversations } = await reads.conversations('silent', 10)
    expect(conversations).toMatchObject([{ with: 'chatty', unread: 100, last_seq: 20_000 }])
    expect((await reads.conversations('chatty', 10)).conversations).toMatchObject([{ unread: 0, peer_read_seq: 0 }])
  })

  test('leads to pages of history in the midst of a long conversation', async () => {
    const page = await reads.page(conversationBetween('me', 'z501'), { before: 500, limit: 50 })
    expect(page).toMatchObject({ hasMore: true })
    expect(page.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => 450 + index))
  })
})
