import { beforeEach, describe, expect, test } from 'vitest'
import { Continuity } from '../../../src/delivery/continuity.ts'
import type { EncodedEvent } from '../../../src/delivery/encoded.ts'
import { Healing } from '../../../src/delivery/healing.ts'
import { LocalUsers } from '../../../src/delivery/local-users.ts'
import { sleep } from '../../../src/lib/clock.ts'
import { MemoryMessageStore } from '../../../src/messages/store.memory.ts'
import { CODECS } from '../../../src/protocol/codec.ts'
import { pendingMessage, positionChange } from '../../support/builders.ts'
import { silentLogger } from '../../support/databases.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

let clock: FakeClock
let store: MemoryMessageStore
let users: LocalUsers
let continuity: Continuity
let healing: Healing
let replays: string[]
/** Conversations found behind, by look. */
let looks: number[]
let queries: number[]
let firstQueries: number
let failing: number
let isConnected: boolean
let receipts: string[]
let hold: Promise<void> | undefined
let announced: Promise<void>
let afterLook: (() => Promise<void>) | undefined

beforeEach(() => {
  clock = new FakeClock()
  store = new MemoryMessageStore(() => clock.now())
  users = new LocalUsers()
  replays = []
  looks = []
  queries = []
  firstQueries = 0
  failing = 0
  hold = undefined
  announced = Promise.resolve()
  afterLook = undefined
  isConnected = true
  receipts = []
  continuity = new Continuity({ clock, replay: (user, other, from) => replays.push(`${user} ${other} ${from}`) })
  healing = new Healing({
    announced: () => announced,
    store: {
      async recentHeads(ids, ageMs) {
        queries.push(ids.length)
        await hold
        if (failing > 0) {
          failing -= 1
          throw new Error('the database is away')
        }
        return store.recentHeads(ids, ageMs)
      },
      firstSince(recent) {
        firstQueries += 1
        return store.firstSince(recent)
      },
    },
    users,
    continuity,
    clock,
    logger: silentLogger,
    observer: {
      healed(conversations) {
        looks.push(conversations)
        void afterLook?.()
      },
    },
    isConnected: () => isConnected,
  })
})

function join(userId: string): void {
  const event = (encoded: EncodedEvent) => void receipts.push(`${userId} ${encoded.frame(CODECS.json)}`)
  users.add({ userId, message: () => undefined, event, unsure: () => undefined, owe: () => undefined })
  continuity.joined(userId)
}

const acknowledge = (user: string, other: string, seq: number) =>
  store.commit([], [positionChange(user, other, { delivered: seq })], 'fast')
const commit = (from: string, to: string) => store.commit([pendingMessage(from, to)], [], 'fast')

/** Half a second before the first regular look. */
async function nearFirstLook(): Promise<void> {
  join('ann')
  healing.start()
  await clock.advance(6_500)
}

test('regular looks that take long are taken the less often', async () => {
  await nearFirstLook()
  hold = sleep(clock, 1_500)
  await clock.advance(1_500)
  expect(looks).toEqual([0])
  await clock.advance(18_000)
  expect(looks).toEqual([0])
  await clock.advance(4_000)
  expect(looks).toEqual([0, 0])
  await healing.stop()
})

test('one that took very long puts off the next by a minute at most', async () => {
  await nearFirstLook()
  hold = sleep(clock, 30_000)
  await clock.advance(60_000)
  expect(looks).toEqual([0])
  await clock.advance(1_000)
  expect(looks).toEqual([0, 0])
  await healing.stop()
})

test('one that had to wait for the writer puts off the next by nothing', async () => {
  await nearFirstLook()
  announced = sleep(clock, 2_000)
  await clock.advance(8_000)
  expect(looks).toEqual([0, 0])
  await healing.stop()
})

describe('receipts', () => {
  const bobIsAt2 = 'ann {"type":"receipt","with":"bob","delivered_seq":2,"read_seq":0}'
  const annIsAt2 = 'ann {"type":"receipt","with":"bob","delivered_seq":2,"read_seq":2,"user_id":"ann"}'

  beforeEach(async () => {
    join('ann')
    await commit('ann', 'bob')
    await commit('ann', 'bob')
    await acknowledge('bob', 'ann', 2)
  })

  test('that may have been lost are told once, and again when somebody is further', async () => {
    healing.heal(clock.now())
    await settled()
    expect(receipts).toEqual([bobIsAt2, annIsAt2])
    healing.heal(clock.now())
    await settled()
    expect(receipts).toHaveLength(2)
    await store.commit([], [positionChange('bob', 'ann', { delivered: 2, read: 1 })], 'fast')
    healing.heal(clock.now())
    await settled()
    expect(receipts[2]).toBe('ann {"type":"receipt","with":"bob","delivered_seq":2,"read_seq":1}')
  })

  test('are no longer held against those that a look does not see again', async () => {
    healing.heal(clock.now())
    await settled()
    await clock.advance(60_000)
    healing.heal(clock.now())
    await settled()
    expect(receipts).toHaveLength(2)
    healing.heal(0)
    await settled()
    expect(receipts).toHaveLength(4)
  })

  test('are told also when the first look failed', async () => {
    failing = 1
    healing.heal(clock.now())
    await settled()
    await clock.advance(500)
    expect(receipts).toEqual([bobIsAt2, annIsAt2])
  })

  test('are told while nothing can arrive, and not by a regular look', async () => {
    healing.start()
    await clock.advance(8_000)
    expect(looks.length).toBeGreaterThan(0)
    expect(receipts).toEqual([])
    isConnected = false
    await clock.advance(3_000)
    expect(receipts).toEqual([bobIsAt2, annIsAt2])
    await healing.stop()
  })
})

describe('healing', () => {
  test('replays what was committed elsewhere and not pushed here, to those who are here', async () => {
    join('ann')
    await commit('bob', 'ann')
    await commit('bob', 'ann')
    await commit('bob', 'cid')
    continuity.offer('ann', 'bob', 1, () => undefined)
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 2'])
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 2'])
    expect(looks).toEqual([1, 0])
  })

  test('looks no further back than asked, and a transaction may have lived', async () => {
    join('ann')
    await commit('bob', 'ann')
    await clock.advance(60_000)
    await commit('cid', 'ann')
    await clock.advance(12_000)
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual([])
    healing.heal(clock.now() - 5_000)
    await settled()
    expect(replays).toEqual(['ann cid 1'])
    healing.heal(clock.now() - 70_000)
    await settled()
    expect(replays).toEqual(['ann cid 1', 'ann bob 1'])
  })

  test('replays what another device acknowledged elsewhere, from when this one came', async () => {
    await commit('bob', 'ann')
    await clock.advance(60_000)
    join('ann')
    await clock.advance(60_000)
    await commit('bob', 'ann')
    await commit('bob', 'ann')
    await acknowledge('ann', 'bob', 3)
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 2'])
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 2'])
  })

  test('replays what was lost before the first push, also when another device acknowledged both', async () => {
    join('ann')
    await commit('bob', 'ann')
    await commit('bob', 'ann')
    continuity.offer('ann', 'bob', 2, () => undefined)
    await acknowledge('ann', 'bob', 2)
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 1'])
  })

  test('replays nothing of what was acknowledged when the device came, though it changed just before', async () => {
    await commit('bob', 'ann')
    await commit('bob', 'ann')
    await acknowledge('ann', 'bob', 1)
    join('ann')
    await healing.arrived('ann')
    await commit('bob', 'ann')
    continuity.offer('ann', 'bob', 3, () => undefined)
    await acknowledge('ann', 'bob', 3)
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 2'])
    expect(firstQueries).toBe(0)
  })

  test('asks once for all who come while it asks, and before any of them is told to go on', async () => {
    const names = ['ann', 'cid', 'dan']
    await commit('bob', 'dan')
    await acknowledge('dan', 'bob', 1)
    for (const name of names) join(name)
    let release = (): void => undefined
    hold = new Promise((resolve) => {
      release = resolve
    })
    const arrived: string[] = []
    const all = Promise.all(names.map((name) => healing.arrived(name).then(() => arrived.push(name))))
    await settled()
    expect(arrived).toEqual([])
    release()
    await all
    expect(queries).toEqual([1, 2])
    expect(continuity.unsure('dan', 'bob')).toMatchObject({ acknowledgedSeq: 1 })
  })

  test('asks for many who come in parts, and again for who comes again', async () => {
    const names = Array.from({ length: 1201 }, (_, index) => `user${index}`)
    await Promise.all(names.map((name) => healing.arrived(name)))
    expect(queries).toEqual([1, 500, 500, 200])
    await healing.arrived('user7')
    expect(queries.at(-1)).toBe(1)
  })

  test('goes by the time when it could not be read what was acknowledged', async () => {
    await commit('bob', 'ann')
    join('ann')
    failing = 1
    await healing.arrived('ann')
    await acknowledge('ann', 'bob', 1)
    healing.heal(clock.now())
    await settled()
    expect(replays).toEqual(['ann bob 1'])
  })

  test('looks but once for what was lost before the first push', async () => {
    join('ann')
    await commit('bob', 'ann')
    continuity.offer('ann', 'bob', 1, () => undefined)
    healing.heal(clock.now())
    await settled()
    healing.heal(clock.now())
    await settled()
    expect(firstQueries).toBe(1)
    expect(replays).toEqual([])
  })

  test('replays nothing acknowledged that was there when the device came, or was pushed to it', async () => {
    await commit('bob', 'ann')
    await acknowledge('ann', 'bob', 1)
    await clock.advance(30_000)
    join('ann')
    await clock.advance(5_000)
    await commit('cid', 'ann')
    continuity.offer('ann', 'cid', 1, () => undefined)
    await acknowledge('ann', 'cid', 1)
    healing.heal(clock.now() - 60_000)
    await settled()
    expect(replays).toEqual([])
  })

  test('reads many users in parts', async () => {
    for (let index = 0; index < 1201; index += 1) join(`user${index}`)
    await commit('bob', 'user1200')
    healing.heal(clock.now())
    await settled()
    expect(queries).toEqual([500, 500, 201])
    expect(replays).toEqual(['user1200 bob 1'])
  })

  test('tries again after a failure, from the time that was asked for', async () => {
    join('ann')
    await commit('bob', 'ann')
    await clock.advance(30_000)
    failing = 2
    healing.heal(clock.now() - 30_000)
    await settled()
    expect(replays).toEqual([])
    await clock.advance(2_000)
    expect(replays).toEqual(['ann bob 1'])
    expect(queries.length).toBe(3)
  })

  test('joins what is asked while it looks into one more look, from the earliest time', async () => {
    join('ann')
    await commit('bob', 'ann')
    await clock.advance(100_000)
    let release = (): void => undefined
    hold = new Promise((resolve) => {
      release = resolve
    })
    healing.heal(clock.now())
    await settled()
    healing.heal(clock.now())
    healing.heal(clock.now() - 100_000)
    healing.heal(clock.now())
    release()
    await settled()
    expect(queries.length).toBe(2)
    expect(replays).toEqual(['ann bob 1'])
  })

  test('forgets no call, whenever it comes', async () => {
    join('ann')
    for (let turns = 0; turns < 12; turns += 1) {
      await commit(`bob${turns}`, 'ann')
      await clock.advance(100_000)
      // One of these falls between the last look and the end of the run.
      afterLook = async () => {
        afterLook = undefined
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
        healing.heal(clock.now() - 100_000)
      }
      healing.heal(clock.now())
      await settled()
      expect(replays.at(-1)).toBe(`ann bob${turns} 1`)
    }
  })

  test('polls every second while nothing can arrive, and not before or after', async () => {
    healing.start()
    join('ann')
    await clock.advance(5_000)
    expect(queries).toEqual([])
    isConnected = false
    await commit('bob', 'ann')
    await clock.advance(1_000)
    expect(replays).toEqual(['ann bob 1'])
    await commit('bob', 'ann')
    await clock.advance(1_000)
    expect(replays).toEqual(['ann bob 1', 'ann bob 2'])
    await clock.advance(3_000)
    expect(queries.length).toBe(5)
    isConnected = true
    await clock.advance(5_000)
    expect(queries.length).toBe(5)
  })

  test('ends with stop, also in the midst of a look', async () => {
    for (let index = 0; index < 1201; index += 1) join(`user${index}`)
    healing.heal(clock.now())
    await healing.stop()
    expect(queries).toEqual([500])
  })

  test('ends with stop, also while the database is away', async () => {
    healing.start()
    join('ann')
    isConnected = false
    failing = 1000
    await clock.advance(2_000)
    const stopped = healing.stop()
    await clock.advance(1_000)
    await stopped
    const before = queries.length
    healing.heal(clock.now())
    await clock.advance(10_000)
    expect(queries.length).toBe(before)
  })
})
