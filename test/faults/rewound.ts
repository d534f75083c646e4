// The database goes back while the service and its clients stay up, as after a failover to a standby that was behind, or after
// a restore: what was acknowledged is gone, and everybody has to end with what the database has.
import { setTimeout as delay } from 'node:timers/promises'
import type { MessageItem } from '../../src/client/index.ts'
import type { Patch } from './build.ts'
import { conversationOf } from './history.ts'
import { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import { SdkPerson } from './sdk-person.ts'
import { until, type World } from './world.ts'

/**
 * As on machines that are busy by turns. What is committed before all have looked has numbers that the line before had too, and
 * soon higher ones: whoever was told of these would take them for the next of the line before, and keep what is below.
 */
const SLOW_LOOK: readonly Patch[] = [
  {
    file: 'messages/epoch.js',
    search: 'let record = await store.read();',
    replace: `if (known !== undefined && Math.random() < 0.5) await sleep(this.#options.clock, 2_000);
        let record = await store.read();`,
  },
]

interface Rewind {
  readonly what: string
  readonly sql: string
}

/** What numbers overtake most easily. */
const LAST: Rewind = {
  what: 'the last message of each conversation',
  sql: `create temporary table target on commit drop as select c.conversation_id,
        greatest(last_seq - 1, 0) as last_seq, lo_delivered_seq, hi_delivered_seq, lo_read_seq, hi_read_seq from conversations c`,
}
/** In the order played: what goes back far makes everybody begin anew, and so would hide what went wrong before it. */
const REWINDS: readonly Rewind[] = [
  {
    what: 'everything since the backup',
    sql: 'create temporary table target on commit drop as select * from backup.conversations',
  },
  {
    what: 'everything since the backup, and the epoch',
    sql: `create temporary table target on commit drop as select * from backup.conversations;
      delete from service_state; insert into service_state select * from backup.service_state`,
  },
  ...[LAST, LAST, LAST, LAST],
]
const BACKUP = `create schema backup;
  create table backup.conversations as select conversation_id, last_seq, lo_delivered_seq, hi_delivered_seq, lo_read_seq,
    hi_read_seq from conversations;
  create table backup.service_state as select * from service_state`
/** All at once, as another server in its place would have it, which knows no session of the one before. Locks as the writer does. */
const rewind = (sql: string): string => `begin;
  lock table conversations, messages in exclusive mode;
  ${sql};
  delete from messages m where m.seq > coalesce((select last_seq from target t where t.conversation_id = m.conversation_id), 0);
  delete from conversations c where not exists (select from target t where t.conversation_id = c.conversation_id);
  update conversations c set last_seq = t.last_seq,
    lo_delivered_seq = least(t.lo_delivered_seq, t.last_seq), hi_delivered_seq = least(t.hi_delivered_seq, t.last_seq),
    lo_read_seq = least(t.lo_read_seq, t.last_seq), hi_read_seq = least(t.hi_read_seq, t.last_seq)
  from target t where t.conversation_id = c.conversation_id;
  select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
  commit`

const NAMES = ['p0', 'p1', 'p2', 'p3']
const PER_SECOND = 400
/** Of all that is written between two people, so that one conversation moves on fast. */
const HOT_SHARE = 0.6
const TICK_MS = 25
const MAX_WAITING = 50
const LOAD_MS = 1_000
const NOTICED_WITHIN_MS = 10_000
const CONSISTENT_WITHIN_MS = 15_000
/** Where much is wrong, the first shows what. */
const MAX_TOLD = 20
let plays = 0

/** Everybody writes to everybody, over all instances, until it is over. */
export class Crowd {
  readonly people: readonly SdkPerson[]
  readonly #timer: NodeJS.Timeout
  readonly #world: World

  constructor(world: World, seed: number) {
    this.#world = world
    const random = new Random(seed)
    plays += 1
    const users = NAMES.map((name) => `rewound${plays}-${name}`)
    this.people = users.map((user, index) => {
      const { port } = world.instance(index % world.instances.length)
      return new SdkPerson(
        user,
        port,
        users.filter((other) => other !== user),
      )
    })
    let count = 0
    this.#timer = setInterval(() => {
      for (let left = (PER_SECOND * TICK_MS) / 1000; left > 0; left -= 1) {
        const isHot = random.chance(HOT_SHARE)
        const person = random.pick(isHot ? this.people.slice(0, 2) : this.people)
        const to = isHot ? person.others[0] : random.pick(person.others)
        count += 1
        if (to !== undefined && person.waiting < MAX_WAITING) person.say(to, `text ${count}`)
      }
    }, TICK_MS)
  }

  quiet(): void {
    clearInterval(this.#timer)
  }

  /** All of them have been told the same. */
  haveEpoch(ordinal: number): boolean {
    return this.people.every(({ epochs, isLive }) => epochs.length === ordinal && isLive)
  }

  /** What anybody has otherwise than the database in the end, after so many new epochs. */
  async verdict(renewals: number, limitMs: number): Promise<string[]> {
    this.quiet()
    const isSettled = (): boolean => this.people.every(({ waiting }) => waiting === 0)
    const isRight = async (): Promise<boolean> => (await wrongIn(this.#world, this, renewals)).length === 0
    const unsettled: string[] = []
    await until('every send to have its outcome', limitMs, isSettled).catch((error: Error) =>
      unsettled.push(`expected: ${error.message}`),
    )
    await until('nothing to be wrong', limitMs, isRight).catch(() => undefined)
    const surprises = this.#world.surprises().map((line) => `surprise: ${line}`)
    return [...unsettled, ...(await wrongIn(this.#world, this, renewals)), ...surprises]
  }

  async close(): Promise<void> {
    this.quiet()
    await Promise.all(this.people.map((person) => person.close()))
  }
}

async function rewound(world: World, seed: number): Promise<string[]> {
  const crowd = new Crowd(world, seed)
  const complaints: string[] = []
  const expect = (what: string, limitMs: number, holds: () => Promise<boolean> | boolean): Promise<unknown> =>
    until(what, limitMs * world.stretch, holds).catch((error: Error) => complaints.push(`expected: ${error.message}`))
  try {
    await expect('everybody to be connected', NOTICED_WITHIN_MS, () => crowd.haveEpoch(1))
    await delay(LOAD_MS)
    await world.cluster.query(BACKUP, world.database)
    for (const [index, { what, sql }] of REWINDS.entries()) {
      await delay(LOAD_MS)
      await world.cluster.query(rewind(sql), world.database)
      await expect(`a new epoch after ${what}`, NOTICED_WITHIN_MS, () => crowd.haveEpoch(index + 2))
    }
    await delay(LOAD_MS)
    return [...complaints, ...(await crowd.verdict(REWINDS.length, CONSISTENT_WITHIN_MS))]
  } finally {
    await crowd.close()
    await world.cluster.query('drop schema if exists backup cascade', world.database)
  }
}

interface Row {
  readonly seq: number
  readonly id: string
  readonly content: string
}

/** What anybody has that the database has not, or the other way round; nothing when all is as it should be. */
async function wrongIn(world: World, { people }: Crowd, renewals: number): Promise<string[]> {
  const wrong: string[] = []
  const rows = await everythingStored(world)
  const [[epoch] = []] = await world.cluster.query('select epoch from service_state', world.database)
  for (const person of people) {
    const { user, closings, others } = person
    if (person.epoch !== epoch) wrong.push(`${user} has the epoch ${person.epoch}, the database ${epoch}`)
    if (new Set(person.epochs).size !== renewals + 1) wrong.push(`${user} had the epochs ${person.epochs.join(' ')}`)
    if (closings.join() !== Array.from({ length: renewals }, () => 1012).join())
      wrong.push(`${user} was closed with ${closings.join(' ')}`)
    for (const other of others) {
      const stored = rows.get(conversationOf(user, other)) ?? []
      const shown = await person.screen(other)
      const said = (what: string): void => void wrong.push(`${user} with ${other}: ${what}`)
      const difference = firstDifference(shown, stored)
      if (difference !== undefined) said(`${difference}, of ${stored.length}`)
      const foreign = (await person.kept(other)).find(({ seq, id }) => stored[seq - 1]?.id !== id)
      if (foreign) said(`keeps ${foreign.id} as ${foreign.seq}`)
      if (person.peerRead(other) !== stored.length) said(`read up to ${person.peerRead(other)}, of ${stored.length}`)
    }
    for (const { id, to, seq, epoch: told } of person.settled) {
      if (seq === 0) wrong.push(`${user} was refused ${id}`)
      // What was acknowledged in an earlier line may be gone: it is the database that has lost it.
      else if (told === epoch && rows.get(conversationOf(user, to))?.[seq - 1]?.id !== id)
        wrong.push(`${user} lost ${id}, acknowledged as ${seq}`)
    }
  }
  const ids = [...rows.values()].flat().map(({ id }) => id)
  if (new Set(ids).size !== ids.length) wrong.push('a send is stored twice')
  return wrong.slice(0, MAX_TOLD)
}

async function everythingStored({ cluster, database }: World): Promise<Map<string, Row[]>> {
  const stored = new Map<string, Row[]>()
  const sql = `select user_lo, user_hi, seq::int, id, content from messages join conversations using (conversation_id)
    where user_lo like 'rewound%' order by conversation_id, seq`
  for (const [lo, hi, seq, id, content] of await cluster.query(sql, database)) {
    const key = conversationOf(String(lo), String(hi))
    stored.set(key, [...(stored.get(key) ?? []), { seq: Number(seq), id: String(id), content: String(content) }])
  }
  return stored
}

function firstDifference(shown: readonly MessageItem[], stored: readonly Row[]): string | undefined {
  for (const [index, { id, seq, content }] of stored.entries()) {
    const here = shown[index]
    if (here?.seq === seq && here.id === id && here.content === content) continue
    return `shows ${here?.id} (${here?.seq}) where ${id} (${seq}) is stored`
  }
  return shown.length > stored.length ? `shows ${shown.length}` : undefined
}

export const REWOUND: Scenario = { name: 'rewound database', run: rewound, without: SLOW_LOOK }
