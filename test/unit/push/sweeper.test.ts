// When an instance looks for what another one forgot, and how far back.
import { expect, test } from 'vitest'
import { COMMIT_SLACK_MS } from '../../../src/messages/store.ts'
import { Sweeper } from '../../../src/push/sweeper.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const AGE_MS = 8_000

function bench({ found = 0, tookMs = 0, cleanUpMs = 0 } = {}) {
  const clock = new FakeClock()
  const database = {
    sweptUntilMs: undefined as number | undefined,
    isTaken: false,
    isAway: false,
    isStuck: false,
    read: 0,
  }
  const looks: { readonly fromMs: number; readonly toMs: number; readonly atMs: number }[] = []
  const failures = new Set<string>()
  const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  const counts = { wakes: 0, cleanUps: 0, forgotten: 0 }
  const sweeper = new Sweeper({
    store: {
      take: async () => {
        if (database.isAway) throw new Error('away')
        return database.isTaken ? undefined : { sweptUntilMs: database.sweptUntilMs, nowMs: clock.now() }
      },
      sweep: async (fromMs, toMs) => {
        looks.push({ fromMs, toMs, atMs: clock.now() })
        if (tookMs > 0) await pause(tookMs)
        return found
      },
      swept: async (_, untilMs) => {
        database.sweptUntilMs = untilMs
      },
      readAgain: async () => database.read,
      forget: async () => {
        if (database.isStuck) throw new Error('it takes too long')
        counts.forgotten += 1
      },
    },
    ageMs: AGE_MS,
    clock,
    health: { failed: (part) => void failures.add(part), works: (part) => void failures.delete(part) },
    observer: { pushSwept: () => undefined },
    found: () => {
      counts.wakes += 1
    },
    cleanUp: async () => {
      counts.cleanUps += 1
      if (cleanUpMs > 0) await pause(cleanUpMs)
    },
  })
  sweeper.start()
  return { clock, database, looks, failures, counts, sweeper }
}

test('every five seconds it goes on where it ended, up to what the instances see to by themselves', async () => {
  const { clock, database, looks, counts, sweeper } = bench({ found: 1 })
  database.sweptUntilMs = clock.now() - 20_000
  await clock.advance(15_000)
  expect(looks.length).toBeGreaterThanOrEqual(2)
  looks.slice(1).forEach(({ fromMs, toMs, atMs }, index) => {
    // A row may become visible so much after the time that it carries.
    expect(fromMs).toBe((looks[index]?.toMs ?? 0) - COMMIT_SLACK_MS)
    expect(toMs).toBe(atMs - AGE_MS)
  })
  expect([counts.wakes, counts.cleanUps, counts.forgotten]).toEqual([looks.length, 1, 1])
  await sweeper.close()
  await clock.advance(60_000)
  expect(clock.pending).toBe(0)
})

test('the first look goes back ten minutes, also where the time of the last one is yet to come', async () => {
  for (const aheadMs of [undefined, 3_600_000]) {
    const { clock, database, looks, sweeper } = bench()
    database.sweptUntilMs = aheadMs && clock.now() + aheadMs
    await clock.advance(5_000)
    const [first, ...more] = looks
    expect((first?.atMs ?? 0) - AGE_MS - 600_000 - COMMIT_SLACK_MS).toBe(first?.fromMs)
    expect(more.length).toBeGreaterThan(0)
    // Nothing is looked through twice.
    expect(more.map(({ fromMs }) => fromMs)).toEqual(looks.slice(0, -1).map(({ toMs }) => toMs))
    await sweeper.close()
  }
})

test('a look that takes long is followed by a pause of a hundred times that, up to ten minutes', async () => {
  const { clock, database, looks, sweeper } = bench({ tookMs: 2_000 })
  database.sweptUntilMs = clock.now() - AGE_MS - 1_000
  await clock.advance(7_500)
  expect(looks).toHaveLength(1)
  await clock.advance(190_000)
  expect(looks).toHaveLength(1)
  await clock.advance(15_000)
  expect(looks.length).toBeGreaterThan(1)
  const closed = sweeper.close()
  await clock.advance(60_000)
  await closed
})

test('one instance looks; a database that is away is told of, and asked again', async () => {
  const { clock, database, looks, failures, sweeper } = bench()
  database.isTaken = true
  await clock.advance(20_000)
  expect([looks.length, failures.size]).toEqual([0, 0])
  database.isAway = true
  await clock.advance(6_000)
  expect(failures.size).toBe(1)
  Object.assign(database, { isAway: false, isTaken: false })
  await clock.advance(6_000)
  expect(failures.size).toBe(0)
  expect(looks.length).toBeGreaterThan(0)
  await sweeper.close()
})

test('what is over is cleaned up once a minute', async () => {
  const { clock, counts, sweeper } = bench()
  await clock.advance(3 * 60_000)
  expect(counts.cleanUps).toBeGreaterThanOrEqual(3)
  expect(counts.cleanUps).toBeLessThanOrEqual(4)
  await sweeper.close()
})

test('cleaning up makes no look later, however long it takes, and the end waits for it', async () => {
  const { clock, looks, counts, sweeper } = bench({ cleanUpMs: 30_000 })
  await clock.advance(29_000)
  const times = [...new Set(looks.map(({ atMs }) => atMs))]
  expect(times.length).toBeGreaterThanOrEqual(5)
  let isClosed = false
  const closed = sweeper.close().then(() => {
    isClosed = true
  })
  await clock.advance(1)
  expect([isClosed, counts.cleanUps]).toEqual([false, 1])
  await clock.advance(30_000)
  await closed
  expect(isClosed).toBe(true)
})

test('what was read and is still shown is looked for with the cleaning up', async () => {
  for (const read of [0, 3]) {
    const { clock, database, counts, sweeper } = bench()
    database.read = read
    await clock.advance(6_000)
    expect(counts.wakes).toBe(read === 0 ? 0 : 1)
    await sweeper.close()
  }
})

test('a clean-up that fails is told of by itself', async () => {
  const { clock, database, failures, sweeper } = bench()
  database.isStuck = true
  await clock.advance(6_000)
  expect([...failures]).toEqual(['what is over of notifications'])
  database.isStuck = false
  await clock.advance(66_000)
  expect(failures.size).toBe(0)
  await sweeper.close()
})
