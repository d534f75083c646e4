import { expect, test } from 'vitest'
import { SharedKeys } from '../../../src/push/keys.ts'
import { Subscribers } from '../../../src/push/subscribers.ts'
import { vapidKeyOf } from '../../../src/push/vapid.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { PUSH_KEYS } from '../../support/push-jobs.ts'

const OTHERS = { vapid: vapidKeyOf('other', Buffer.alloc(32, 3)), retired: [], tagSecret: Buffer.alloc(32, 4) }
const health = { failed: () => undefined, works: () => undefined }

async function bench() {
  const clock = new FakeClock()
  const database = { keys: PUSH_KEYS, isAway: false, looks: 0 }
  const read = async () => {
    database.looks += 1
    if (database.isAway) throw new Error('away')
    return database.keys
  }
  const keys = new SharedKeys({ store: { read }, clock, health })
  await keys.start()
  return { clock, database, keys }
}

test('the keys are those of the database, also after it was set back', async () => {
  const { clock, database, keys } = await bench()
  expect(keys.current).toBe(PUSH_KEYS)
  database.keys = OTHERS
  database.isAway = true
  const read = keys.read()
  await clock.advance(3_500)
  expect(keys.current).toBe(PUSH_KEYS)
  database.isAway = false
  await clock.advance(1_000)
  await read
  expect(keys.current).toBe(OTHERS)
  expect([keys.vapid('kid'), keys.vapid('other')]).toEqual([undefined, OTHERS.vapid])
})

test('a key that is retired is known, and makes no look', async () => {
  const { database, keys } = await bench()
  database.keys = { ...OTHERS, retired: [PUSH_KEYS.vapid] }
  await keys.read()
  expect([keys.vapid('kid'), keys.vapid('other')]).toEqual([PUSH_KEYS.vapid, OTHERS.vapid])
  expect([keys.current.vapid, database.looks]).toEqual([OTHERS.vapid, 2])
})

test('a key that is not known makes one look, once a second', async () => {
  const { clock, database, keys } = await bench()
  database.keys = OTHERS
  for (let count = 0; count < 5; count += 1) expect(keys.vapid('other')).toBeUndefined()
  await settled()
  expect([database.looks, keys.vapid('other')]).toEqual([2, OTHERS.vapid])
  for (let count = 0; count < 5; count += 1) expect(keys.vapid('nobody')).toBeUndefined()
  await clock.advance(1_000)
  expect(keys.vapid('nobody')).toBeUndefined()
  await settled()
  expect(database.looks).toBe(3)
})

test('while the database is away nobody asks any more once it is closed', async () => {
  const { clock, database, keys } = await bench()
  database.isAway = true
  const read = keys.read()
  await settled()
  keys.close()
  await clock.advance(5_000)
  await read
  expect(database.looks).toBe(2)
})

test('who subscribed is read anew after the database was set back, also in the middle of a look', async () => {
  const clock = new FakeClock()
  let users = ['ann']
  let asOfMs = 1_000_000
  let held: Promise<void> | undefined
  const subscribers = new Subscribers({
    store: {
      users: async (after) => users.filter((user) => user > after),
      usersSince: async () => {
        const answer = { users: [], asOfMs }
        await held
        return answer
      },
    },
    clock,
    health,
  })
  await subscribers.start()
  expect([subscribers.has('ann'), subscribers.has('bob')]).toEqual([true, false])
  let release = (): void => undefined
  held = new Promise((resolve) => {
    release = resolve
  })
  await clock.advance(2_000)
  users = ['bob']
  asOfMs = 0
  subscribers.historyChanged()
  release()
  held = undefined
  await clock.advance(2_500)
  expect([subscribers.has('ann'), subscribers.has('bob')]).toEqual([false, true])
  subscribers.close()
})
