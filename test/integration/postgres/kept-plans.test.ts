// Sessions of push and of signing in keep one plan of each statement, and may have made it while their tables were all but empty: it
// must find what it wants by an index then, too. (`stale-statistics.test.ts` is about messages.)
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresAccountStore } from '../../../src/accounts/account-store.postgres.ts'
import type { Door } from '../../../src/accounts/account-store.ts'
import { PostgresThrottle } from '../../../src/accounts/throttle.postgres.ts'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { PLANNER_SETTINGS } from '../../../src/postgres/session-settings.ts'
import {
  CLAIM,
  CLOSE_HOST,
  READ,
  SETTLE,
  SETTLE_VOID,
  STANDINGS,
  WANT,
} from '../../../src/push/job-statements.postgres.ts'
import { PostgresJobStore } from '../../../src/push/job-store.postgres.ts'
import { ACTOR, LIFE, opening, registration } from '../../support/account-store.ts'
import { backlogOf } from '../../support/app.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

interface Kept {
  readonly statement: string
  readonly parameters: number
}

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Index Cond'?: string
  readonly Plans?: readonly Plan[]
}

/** Of one row; of administrators alone; and links, which only somebody with a good one looks through. */
const MAY_BE_READ_WHOLE = ['service_state', 'audit_head', 'accounts_admins', 'one_time_links', 'one_time_links_pkey']

const STATES = [
  { state: 'were never gathered', rows: 0, isGathered: false },
  { state: 'say that they are empty', rows: 0, isGathered: true },
  { state: 'know of one row', rows: 1, isGathered: true },
  { state: 'know of twenty rows', rows: 20, isGathered: true },
]

let kept: readonly Kept[]

beforeAll(async () => {
  const created = await createDatabase()
  const database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  const queries = database.openQueries(1, { keepsPlans: true })
  await push(queries, database.openQueries(1))
  await signIn(queries, database)
  kept = await queries.query<Kept>(
    `select statement, cardinality(parameter_types) as parameters from pg_prepared_statements where name <> 'commit'`,
  )
  await database.writerConnection.close()
  await database.close()
  await created.drop()
})

/** Everything that is asked of jobs. */
async function push(queries: Queries, others: Queries): Promise<void> {
  const jobs = new PostgresJobStore(queries)
  await others.query(ROWS.push_subscriptions.replace('ROWS', '2'))
  for (const userId of ['p1', 'p2']) {
    await others.query(backlogOf('bob', userId, 1, 5))
    const place = { userId, conversation: conversationBetween('bob', userId) }
    const [standing] = await jobs.standings([place])
    if (standing) await jobs.want([{ userId, standing, until: 'delivered', ageSeconds: 1 }])
    await jobs.read([place])
  }
  await jobs.settle((await jobs.claim(2)).map((job) => ({ job, end: { end: 'void' } })))
  await jobs.closeHost('host', 1)
}

/** Every way to sign in. */
async function signIn(queries: Queries, database: Database): Promise<void> {
  const accounts = new PostgresAccountStore(database.openQueries(1), LIFE, { queries, expected: () => 0 })
  const throttle = new PostgresThrottle(queries)
  const door: Door = { kind: 'code', hash: Buffer.from('shut'), mayInvite: true }
  const secretHash = Buffer.alloc(32, 1)
  const cookie = opening()
  const { session } = cookie
  await accounts.register(registration(), {
    ...cookie,
    session: { ...session, secret: { kind: 'cookie', secretHash } },
  })
  expect(await accounts.register(registration(door), opening())).toBe('invite_invalid')
  expect(await accounts.isCodeGood(door)).toBe(false)
  const given = registration()
  await accounts.register(given, opening({ replaces: secretHash }))
  const verified = await accounts.credentials(given.username, undefined)
  expect(verified && (await accounts.login(verified, opening(), undefined))).toBeDefined()
  await accounts.loginFailed({ userId: given.userId, network: 'n', actor: ACTOR })
  await accounts.finish()
  const keys = [{ key: Buffer.from('key'), burst: 1, seconds: 1 }]
  await throttle.take(keys)
  await throttle.giveBack(keys)
}

test('every statement of push is examined', () => {
  const texts = kept.map(({ statement }) => statement)
  const all = [STANDINGS, WANT, CLAIM, SETTLE, SETTLE_VOID, READ, CLOSE_HOST]
  expect(all.filter((text) => !texts.includes(text))).toEqual([])
})

describe.each(STATES)('while statistics of the tables $state', ({ rows, isGathered }) => {
  let database: TestDatabase
  let client: pg.Client

  beforeAll(async () => {
    database = await createDatabase()
    client = new pg.Client(parseDsn(database.dsn))
    await client.connect()
    if (rows > 0) for (const text of Object.values(ROWS)) await client.query(text.replace('ROWS', String(rows)))
    if (isGathered) await client.query('vacuum analyze')
    for (const [name, value] of PLANNER_SETTINGS) await client.query(`set ${name} = ${value}`)
  })
  afterAll(async () => {
    await client.end()
    await database.drop()
  })

  test('no statement reads a whole table or index', async () => {
    const read: string[] = []
    for (const [index, one] of kept.entries()) {
      const whole = nodesOf(await planOf(client, `kept_${index}`, one)).filter(isWhole)
      const names = whole.map((node) => `${node['Relation Name']} by ${node['Index Name'] ?? 'itself'}`)
      if (names.length > 0) read.push(`${one.statement.replaceAll(/\s+/g, ' ').slice(0, 80)}: ${names.join(', ')}`)
    }
    expect(read).toEqual([])
  })
})

/** The one for any parameters, as the session has it from now on. */
async function planOf(client: pg.Client, name: string, { statement, parameters }: Kept): Promise<Plan> {
  await client.query(`prepare ${name} as ${statement}`)
  const list = parameters > 0 ? `(${Array.from({ length: parameters }, () => 'null').join(', ')})` : ''
  const { rows } = await client.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(
    `explain (format json) execute ${name}${list}`,
  )
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan
  if (!plan) throw new Error('no plan')
  return plan
}

function nodesOf(node: Plan): Plan[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

function isWhole(node: Plan): boolean {
  const relation = node['Relation Name']
  if (relation === undefined || !node['Node Type'].endsWith('Scan') || node['Index Cond'] !== undefined) return false
  return !MAY_BE_READ_WHOLE.includes(node['Index Name'] ?? relation)
}

/** `ROWS` rows of each table. */
const ROWS = {
  users: `insert into users (user_id) select 'p' || n from generate_series(1, ROWS) n`,
  accounts: `insert into accounts (user_id, username, username_key)
    select 'p' || n, 'p' || n, 'p' || n from generate_series(1, ROWS) n`,
  passwords: `insert into passwords (user_id, phc) select 'p' || n, 'phc' from generate_series(1, ROWS) n`,
  devices: `insert into devices (user_id, device_hash)
    select 'p' || n, sha256(n::text::bytea) from generate_series(1, ROWS) n`,
  sessions: `insert into sessions (user_id, kind, secret_hash, expires_at)
    select 'p' || n, 'cookie', sha256(n::text::bytea), now() from generate_series(1, ROWS) n`,
  revocations: `insert into revocations (session_id, actor) select n, 'test' from generate_series(1, ROWS) n`,
  throttles: `insert into throttles (throttle_key, tokens, at)
    select sha256(n::text::bytea), 1, now() from generate_series(1, ROWS) n`,
  login_failures: `insert into login_failures (username_key, network, quarter)
    select n, 'n', now() from generate_series(1, ROWS) n`,
  push_hosts: `insert into push_hosts (host, not_before) select n, now() from generate_series(1, ROWS) n`,
  push_subscriptions: `insert into push_subscriptions (user_id, endpoint, endpoint_hash, host, p256dh, auth, vapid_kid, content)
    select 'p' || n, '', sha256(n::text::bytea), '', '', '', '', 1 from generate_series(1, ROWS) n`,
  conversations: `insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
    select 'p' || n, 'q', 1, now(), now() from generate_series(1, ROWS) n`,
  messages: `insert into messages (conversation_id, seq, id, sender_id, content, created_at)
    select conversation_id, 1, gen_random_uuid(), 'q', '', now() from conversations`,
  push_jobs: `insert into push_jobs (user_id, conversation_id, kind, until, due_at, wanted_at, last_seq)
    select user_lo, conversation_id, 0, 0, now(), now(), 1 from conversations`,
}
