import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/lib/clock.ts'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { MemoryMessageStore } from '../../../src/messages/store.memory.ts'
import type { MessageStore } from '../../../src/messages/store.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { Activity, type CommitFault, FaultyStore, turn } from '../../support/model-faults.ts'
import { type BatchFate, instanceAlone, instancesOver, type ModelInstance } from '../../support/model-instance.ts'
import { World } from '../../support/model-world.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const USERS = ['ann', 'bob', 'cat']

type Step =
  | { op: 'send'; device: number; other: number; count: number }
  | { op: 'ack' | 'read'; device: number; other: number; part: number }
  | { op: 'connect' | 'disconnect' | 'stall' | 'resume' | 'resume and disconnect'; device: number }
  | { op: 'turns'; count: number }

const device = fc.nat({ max: 2 * USERS.length - 1 })
const other = fc.nat({ max: USERS.length - 1 })
const part = fc.constantFrom(0.3, 0.7, 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('send'), device, other, count: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('ack', 'read'), device, other, part }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('connect'), device }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom('disconnect', 'stall', 'stall', 'resume', 'resume and disconnect'),
      device,
    }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('turns'), count: fc.integer({ min: 1, max: 12 }) }) },
)
const scenario = fc.record({
  steps: fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }),
  commitFaults: fc.array(fc.constantFrom<CommitFault>('none', 'none', 'none', 'aborted', 'lost', 'unsure'), {
    maxLength: 30,
    size: 'max',
  }),
  readFaults: fc.array(
    fc.nat({ max: 3 }).map((n) => n === 0),
    { maxLength: 40, size: 'max' },
  ),
  batchFates: fc.array(fc.constantFrom<BatchFate>('arrives', 'arrives', 'late', 'lost'), {
    maxLength: 120,
    size: 'max',
  }),
})
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

let runs = 0
const faults = new Map<string, number>()
const closes = new Map<number, number>()

type Instances = (store: MessageStore, activity: Activity, fates: readonly BatchFate[]) => readonly ModelInstance[]
const alone: Instances = (store, activity) => [instanceAlone(store, activity)]

async function play(store: MessageStore, instances: Instances, played: Scenario): Promise<void> {
  const { steps, commitFaults, readFaults, batchFates } = played
  runs += 1
  const activity = new Activity()
  const faulty = new FaultyStore(store, activity, commitFaults, readFaults)
  const world = new World(
    instances(faulty, activity, batchFates),
    activity,
    USERS.map((user) => `${user}.${runs}`),
  )
  for (const one of steps) await take(world, one)
  await world.quiet()
  for (const one of world.devices) one.socket?.resume()
  await world.quiet()
  if (instances !== alone) await takeOrder(world, store)
  checkScreens(world, 'of those who stayed connected')
  await checkPositions(world, store)
  // A replay may have been refused five times in a row: then its client comes back, as everybody who is away does.
  while (world.devices.some(({ isSynced }) => !isSynced)) {
    for (const one of world.devices) one.connect()
    await world.quiet()
  }
  checkScreens(world, 'of everybody')
  await checkStored(world, store)
  for (const one of world.devices) for (const user of world.users) one.move('read', user, 1)
  await world.quiet()
  await checkAllRead(world, store)
  for (const [name, count] of faulty.met) faults.set(name, (faults.get(name) ?? 0) + count)
  for (const code of world.devices.flatMap(({ closeCodes }) => closeCodes))
    closes.set(code, (closes.get(code) ?? 0) + 1)
}

async function take(world: World, one: Step): Promise<void> {
  if (one.op === 'turns') {
    for (let count = one.count; count > 0; count -= 1) await turn()
    return
  }
  const device = world.devices[one.device]
  if (!device) throw new Error('no such device')
  if (one.op === 'connect') device.connect()
  else if (one.op === 'disconnect') device.disconnect()
  else if (one.op === 'stall') device.socket?.stall()
  else if (one.op === 'resume') device.socket?.resume()
  else if (one.op === 'resume and disconnect') {
    device.socket?.resume()
    device.disconnect()
  } else if (one.op === 'send') {
    for (let count = one.count; count > 0; count -= 1) device.send(world.users[one.other] ?? '', 'text')
  } else if (one.op === 'ack' || one.op === 'read') device.move(one.op, world.users[one.other] ?? '', one.part)
}

async function takeOrder(world: World, store: MessageStore): Promise<void> {
  for (const [a, b] of pairs(world)) {
    const { messages } = await store.page(conversationBetween(a, b), { after: 0, limit: 10_000 })
    world.model.ordered(
      a,
      b,
      messages.map(({ id }) => id),
    )
  }
}

/** Every message of the model, in its order, each once; nobody has to ask for a live message that was lost. */
function checkScreens(world: World, whose: string): void {
  for (const device of world.devices.filter(({ isSynced }) => isSynced)) {
    for (const user of world.users) {
      const expected = world.model.log(device.user, user).map(({ id }) => id)
      expect(device.screen(user).shown, `screen ${whose}: ${device.name} with ${user}`).toEqual(expected)
      const { peer } = device.screen(user)
      if (user === device.user || device.socket?.hasStalled) continue
      const acknowledged = world.model.acknowledged(user, device.user)
      expect(peer.delivered, `receipts ${whose}: ${device.name} of ${user}`).toBeGreaterThanOrEqual(
        acknowledged.delivered,
      )
      expect(peer.read, `read receipts ${whose}: ${device.name} of ${user}`).toBeGreaterThanOrEqual(acknowledged.read)
    }
  }
}

async function checkStored(world: World, store: MessageStore): Promise<void> {
  const refused = new Set(world.devices.flatMap((device) => device.refused))
  for (const [a, b] of pairs(world)) {
    const { messages } = await store.page(conversationBetween(a, b), { after: 0, limit: 10_000 })
    expect(messages.map(({ id }) => id)).toEqual(world.model.log(a, b).map(({ id }) => id))
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, index) => index + 1))
    expect(messages.filter(({ id }) => refused.has(id))).toEqual([])
  }
}

/** A position is what was acknowledged, or further by messages of one's own only. */
async function checkPositions(world: World, store: MessageStore): Promise<void> {
  for (const user of world.users) {
    for (const change of (await store.changes(user)).found) {
      const log = world.model.log(user, change.with)
      const { delivered, read } = world.model.acknowledged(user, change.with)
      for (const [least, actual] of [
        [delivered, change.delivered_seq],
        [read, change.read_seq],
      ] as const) {
        expect(actual, `position of ${user} with ${change.with}`).toBeGreaterThanOrEqual(least)
        const carried = log.slice(least, actual).map(({ sender }) => sender)
        expect(carried, `what ${user} passed over`).toEqual(carried.map(() => user))
      }
      expect(change.last_seq).toBe(log.length)
    }
  }
}

async function checkAllRead(world: World, store: MessageStore): Promise<void> {
  for (const user of world.users) {
    expect((await store.backlog(user)).found).toEqual([])
    const { conversations } = await store.conversations(user, 100)
    for (const { last_seq, ...one } of conversations) {
      const all = { delivered_seq: last_seq, read_seq: last_seq, peer_delivered_seq: last_seq, peer_read_seq: last_seq }
      expect(one).toMatchObject({ ...all, unread: 0 })
    }
  }
}

function pairs({ users }: World): (readonly [string, string])[] {
  return users.flatMap((a, index) => users.slice(index).map((b) => [a, b] as const))
}

/** Another one tries other cases. */
const seed = Number(process.env.SEED ?? 20_261_129)
const check = (store: () => MessageStore, numRuns: number, instances = alone): Promise<void> =>
  fc.assert(
    fc.asyncProperty(scenario, (one) => play(store(), instances, one)),
    { seed, numRuns, endOnFailure: true },
  )

test('screens and positions equal the model over the memory store, whatever happens', async () => {
  await check(() => new MemoryMessageStore(() => systemClock.now()), 400)
  expect([...faults.keys()].sort()).toEqual(['aborted', 'lost', 'none', 'unsure'])
  expect([...closes.keys()].length).toBeGreaterThan(1)
})

test('so they do on two instances between which pushes get late and lost', async () => {
  await check(() => new MemoryMessageStore(() => systemClock.now()), 400, instancesOver)
})

describe('over PostgreSQL', () => {
  let created: TestDatabase
  let database: Database
  let store: MessageStore

  beforeAll(async () => {
    created = await createDatabase()
    database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 4, logger: silentLogger })
    store = postgresStore(database, silentLogger)
  })
  afterAll(async () => {
    await store.close()
    await database.close()
    await created.drop()
  })

  test('screens and positions equal the model, whatever happens', async () => {
    await check(() => store, 40)
  })
})
