import { beforeEach, describe, expect, test } from 'vitest'
import { sleep } from '../../../src/lib/clock.ts'
import { settled } from '../../support/fake-clock.ts'
import { HealingBench } from '../../support/healing.ts'

let bench: HealingBench

beforeEach(() => {
  bench = new HealingBench()
})

/** After its first look, with nobody here, which tells it the store's time. */
async function start(): Promise<void> {
  bench.healing.start()
  await settled()
}

function hang(): () => void {
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  bench.beforeAnswer = () => held
  return release
}

function failTimes(times: number): void {
  let left = times
  bench.beforeAnswer = () => {
    left -= 1
    if (left >= 0) throw new Error('the database is away')
  }
}

describe('regular looks', () => {
  beforeEach(async () => {
    bench.join('ann')
    await start()
    bench.looks.length = 0
    await bench.clock.advance(6_500)
  })

  test('that take long are taken the less often', async () => {
    const done = sleep(bench.clock, 1_500)
    bench.beforeAnswer = (users) => (users.length > 0 ? done : undefined)
    await bench.clock.advance(2_500)
    expect(bench.looks).toEqual([0])
    await bench.clock.advance(17_000)
    expect(bench.looks).toEqual([0])
    await bench.clock.advance(4_000)
    expect(bench.looks).toEqual([0, 0])
    await bench.healing.stop()
  })

  test('of which one took very long come a minute apart at most', async () => {
    const done = sleep(bench.clock, 30_000)
    bench.beforeAnswer = (users) => (users.length > 0 ? done : undefined)
    await bench.clock.advance(60_000)
    expect(bench.looks).toEqual([0])
    await bench.clock.advance(2_000)
    expect(bench.looks).toEqual([0, 0])
    await bench.healing.stop()
  })

  test('that had to wait for the writer are taken as often as others', async () => {
    const done = sleep(bench.clock, 2_000)
    bench.announced = () => done
    await bench.clock.advance(8_500)
    expect(bench.looks).toEqual([0, 0])
    await bench.healing.stop()
  })
})

describe('receipts', () => {
  const bobIsAt2 = 'ann {"type":"receipt","with":"bob","delivered_seq":2,"read_seq":0}'
  const annIsAt2 = 'ann {"type":"receipt","with":"bob","delivered_seq":2,"read_seq":2,"user_id":"ann"}'

  beforeEach(async () => {
    bench.join('ann')
    await bench.commit('ann', 'bob')
    await bench.commit('ann', 'bob')
    await bench.acknowledge('bob', 'ann', 2)
  })

  test('that may have been lost are told once, and again when somebody is further', async () => {
    await bench.gap()
    expect(bench.receipts).toEqual([bobIsAt2, annIsAt2])
    await bench.gap()
    expect(bench.receipts).toHaveLength(2)
    await bench.acknowledge('bob', 'ann', 2, 1)
    await bench.gap()
    expect(bench.receipts[2]).toBe('ann {"type":"receipt","with":"bob","delivered_seq":2,"read_seq":1}')
  })

  test('are told also when the first look failed', async () => {
    failTimes(1)
    await bench.gap()
    expect(bench.receipts).toEqual([])
    await bench.clock.advance(500)
    expect(bench.receipts).toEqual([bobIsAt2, annIsAt2])
  })

  test('are told while nothing can arrive, and not by a regular look', async () => {
    await start()
    await bench.clock.advance(8_000)
    expect(bench.looks.length).toBeGreaterThan(1)
    expect(bench.receipts).toEqual([])
    bench.isConnected = false
    await bench.clock.advance(3_000)
    expect(bench.receipts).toEqual([bobIsAt2, annIsAt2])
    await bench.healing.stop()
  })

  test('that were lost before a regular look are told after it, but not those of two minutes ago', async () => {
    await start()
    await bench.gap()
    await bench.clock.advance(125_000)
    bench.receipts.length = 0
    await bench.acknowledge('bob', 'ann', 2, 1)
    await bench.clock.advance(100_000)
    await bench.commit('cid', 'ann')
    await bench.acknowledge('ann', 'cid', 1)
    await bench.clock.advance(40_000)
    await bench.gap()
    expect(bench.receipts.filter((text) => text.includes('"with":"cid"'))).toHaveLength(2)
    expect(bench.receipts.filter((text) => text.includes('"with":"bob"'))).toEqual([])
    await bench.healing.stop()
  })
})

describe('healing', () => {
  test('replays what was committed elsewhere and not pushed here, to those who are here', async () => {
    bench.join('ann')
    await bench.commit('bob', 'ann')
    await bench.commit('bob', 'ann')
    await bench.commit('bob', 'cid')
    bench.push('ann', 'bob', 1)
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 2'])
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 2'])
    expect(bench.looks).toEqual([1, 0])
  })

  test('replays what another device acknowledged elsewhere, from when this one came', async () => {
    await bench.commit('bob', 'ann')
    await bench.clock.advance(60_000)
    await bench.gap()
    bench.join('ann')
    await bench.clock.advance(60_000)
    await bench.commit('bob', 'ann')
    await bench.commit('bob', 'ann')
    await bench.acknowledge('ann', 'bob', 3)
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 2'])
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 2'])
  })

  test('replays what was lost before the first push, also when another device acknowledged both', async () => {
    bench.join('ann')
    await bench.commit('bob', 'ann')
    await bench.commit('bob', 'ann')
    bench.push('ann', 'bob', 2)
    await bench.acknowledge('ann', 'bob', 2)
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 1'])
  })

  test('replays nothing of what was acknowledged when the device came, though it changed just before', async () => {
    await bench.commit('bob', 'ann')
    await bench.commit('bob', 'ann')
    await bench.acknowledge('ann', 'bob', 1)
    bench.join('ann')
    await bench.arrive('ann')
    await bench.commit('bob', 'ann')
    bench.push('ann', 'bob', 3)
    await bench.acknowledge('ann', 'bob', 3)
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 2'])
    expect(bench.firstQueries).toBe(0)
  })

  test('goes by the time when it could not be read what was acknowledged', async () => {
    await bench.commit('bob', 'ann')
    bench.join('ann')
    failTimes(1)
    await bench.arrive('ann')
    await bench.acknowledge('ann', 'bob', 1)
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 1'])
  })

  test('looks but once for what was lost before the first push', async () => {
    bench.join('ann')
    await bench.commit('bob', 'ann')
    bench.push('ann', 'bob', 1)
    await bench.gap()
    await bench.gap()
    expect(bench.firstQueries).toBe(1)
    expect(bench.replays).toEqual([])
  })

  test('replays nothing acknowledged that was there when the device came, or was pushed to it', async () => {
    await bench.commit('bob', 'ann')
    await bench.acknowledge('ann', 'bob', 1)
    await bench.clock.advance(30_000)
    await bench.gap()
    bench.join('ann')
    await bench.clock.advance(5_000)
    await bench.commit('cid', 'ann')
    bench.push('ann', 'cid', 1)
    await bench.acknowledge('ann', 'cid', 1)
    await bench.gap()
    expect(bench.replays).toEqual([])
  })

  test('reads many users in parts', async () => {
    for (let index = 0; index < 1201; index += 1) bench.join(`user${index}`)
    await bench.commit('bob', 'user1200')
    await bench.gap()
    expect(bench.queries).toEqual([500, 500, 201])
    expect(bench.replays).toEqual(['user1200 bob 1'])
  })

  test('joins what is asked while it looks into one more look', async () => {
    bench.join('ann')
    const release = hang()
    await bench.gap()
    for (let time = 0; time < 3; time += 1) bench.healing.gap()
    await bench.commit('bob', 'ann')
    release()
    await settled()
    expect(bench.queries.length).toBe(2)
    expect(bench.replays).toEqual(['ann bob 1'])
  })

  test('forgets no call, whenever it comes', async () => {
    bench.join('ann')
    for (let turns = 0; turns < 12; turns += 1) {
      // One of these falls between the last look and the end of the run.
      bench.afterLook = async () => {
        bench.afterLook = () => undefined
        await bench.commit(`bob${turns}`, 'ann')
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
        bench.healing.gap()
      }
      await bench.gap()
      expect(bench.replays.at(-1)).toBe(`ann bob${turns} 1`)
    }
  })

  test('polls every second while nothing can arrive, and not before or after', async () => {
    bench.join('ann')
    await start()
    bench.queries.length = 0
    await bench.clock.advance(5_000)
    expect(bench.queries).toEqual([])
    bench.isConnected = false
    await bench.commit('bob', 'ann')
    await bench.clock.advance(1_000)
    expect(bench.replays).toEqual(['ann bob 1'])
    await bench.commit('bob', 'ann')
    await bench.clock.advance(1_000)
    expect(bench.replays).toEqual(['ann bob 1', 'ann bob 2'])
    await bench.clock.advance(3_000)
    expect(bench.queries.length).toBe(5)
    bench.isConnected = true
    await bench.clock.advance(5_000)
    expect(bench.queries.length).toBe(5)
    await bench.healing.stop()
  })

  test('ends with stop, also in the midst of a look', async () => {
    for (let index = 0; index < 1201; index += 1) bench.join(`user${index}`)
    bench.beforeAnswer = () => settled()
    bench.healing.gap()
    await settled()
    await bench.healing.stop()
    expect(bench.queries).toEqual([500])
  })

  test('ends with stop, also while the database is away', async () => {
    await start()
    bench.join('ann')
    bench.isConnected = false
    failTimes(1000)
    await bench.clock.advance(2_000)
    const stopped = bench.healing.stop()
    await bench.clock.advance(1_000)
    await stopped
    const before = bench.queries.length
    bench.healing.gap()
    await bench.clock.advance(10_000)
    expect(bench.queries.length).toBe(before)
  })
})

describe('the time of a look', () => {
  test.each([
    ['as this one says', 0],
    ['20 s behind this one', -20_000],
    ['20 s ahead of this one', 20_000],
  ])('is the store’s, whose clock is %s: each look asks for what came since the last', async (_, aheadMs) => {
    bench.storeAheadMs = aheadMs
    bench.join('ann')
    await start()
    const startedMs = bench.clock.now() + aheadMs
    await bench.clock.advance(5_000)
    await bench.commit('bob', 'ann')
    await bench.gap()
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 1'])
    const slackMs = 10_000
    expect(bench.sincesMs.slice(1)).toEqual([startedMs - slackMs, startedMs + 5_000 - slackMs])
    await bench.healing.stop()
  })

  test('does not stand still with this one’s clock: what was lost while the machine was suspended is found', async () => {
    bench.join('ann')
    await start()
    bench.storeAheadMs += 300_000
    await bench.commit('bob', 'ann')
    bench.storeAheadMs += 300_000
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 1'])
    await bench.healing.stop()
  })

  test('that is before the last one’s is another server’s: everything is compared', async () => {
    bench.join('ann')
    await start()
    bench.storeAheadMs -= 60_000
    await bench.commit('bob', 'ann')
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 1'])
    await bench.healing.stop()
  })

  test('covers a transaction that began long before its commit', async () => {
    bench.join('ann')
    await start()
    bench.storeAheadMs -= 9_000
    await bench.commit('bob', 'ann')
    bench.storeAheadMs += 9_000
    await bench.gap()
    expect(bench.replays).toEqual(['ann bob 1'])
    await bench.healing.stop()
  })

  test('stays that of the last complete look when one fails', async () => {
    await start()
    bench.join('ann')
    await bench.commit('bob', 'ann')
    failTimes(2)
    await bench.gap()
    await bench.clock.advance(400)
    expect(bench.replays).toEqual([])
    const before = bench.healing.comparedMs
    await bench.clock.advance(1_600)
    expect(bench.replays).toEqual(['ann bob 1'])
    expect(bench.healing.comparedMs).toBeGreaterThan(before)
    expect(bench.failures).toBe(2)
    expect(bench.logs.shown).toEqual(['warn: healing fails (the database is away)', 'info: healing works again'])
    await bench.healing.stop()
  })
})

describe('a store that was set back', () => {
  const write = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) await bench.commit('bob', 'ann')
  }

  beforeEach(async () => {
    bench.join('ann')
    await start()
    await write(20)
    for (let seq = 1; seq <= 20; seq += 1) bench.push('ann', 'bob', seq)
    await bench.gap()
    await bench.acknowledge('ann', 'bob', 20)
    bench.pushes.length = 0
    bench.store = bench.newStore()
    await write(10)
    await bench.acknowledge('ann', 'bob', 10)
  })

  test('is compared anew: what has numbers again that were told before is replayed, pushed and told', async () => {
    bench.healing.forget()
    await settled()
    bench.replays.length = 0
    bench.receipts.length = 0
    await write(3)
    for (const seq of [11, 12]) bench.push('ann', 'bob', seq)
    await bench.gap()
    expect(bench.pushes).toEqual(['ann bob 11', 'ann bob 12'])
    expect(bench.replays).toEqual(['ann bob 13'])
    await write(2)
    await bench.clock.advance(10_000)
    expect(bench.replays).toEqual(['ann bob 13', 'ann bob 14'])
    await bench.acknowledge('ann', 'bob', 15)
    await bench.gap()
    expect(bench.receipts.at(-1)).toContain('"delivered_seq":15')
    await bench.healing.stop()
  })

  test('is compared anew also when a look at it as it was is under way', async () => {
    const [before, after] = [bench.store, bench.newStore()]
    bench.store = after
    await write(15)
    await bench.clock.advance(60_000)
    bench.store = before
    await write(15)
    let release = (): void => undefined
    const announced = new Promise<void>((resolve) => {
      release = resolve
    })
    bench.announced = () => announced
    await bench.gap()
    bench.healing.forget()
    bench.store = after
    bench.replays.length = 0
    release()
    await settled()
    // Of the look under way, which found 25, nothing is kept; what is there now was there long before it began.
    expect(bench.replays).toEqual(['ann bob 1'])
    bench.push('ann', 'bob', 16)
    expect(bench.pushes).toEqual(['ann bob 16'])
    await bench.healing.stop()
  })
})

describe('a user of whom there is too much to read', () => {
  const others = Array.from({ length: 1100 }, (_, index) => `user${index}`)
  let hubFails: boolean

  beforeEach(async () => {
    hubFails = true
    await start()
    for (const user of others) bench.join(user)
    bench.join('hub')
    bench.beforeAnswer = (users) => {
      if (hubFails && users.includes('hub')) throw new Error('canceling statement due to statement timeout')
    }
    for (const user of [...others, 'hub']) await bench.commit('bob', user)
  })

  const healed = () => new Set(bench.replays.map((replay) => replay.split(' ')[0])).size

  test('stops nobody else’s healing: at once in other parts, and soon in its own', async () => {
    await bench.gap()
    expect(healed()).toBe(1000)
    await bench.clock.advance(15_000)
    expect(healed()).toBe(1100)
    expect(bench.failures).toBeGreaterThan(5)
    expect(bench.logs.shown).toEqual(['warn: healing fails (canceling statement due to statement timeout)'])
    await bench.healing.stop()
  })

  test('is asked for alone in the end, ever more rarely, and healed from where it was left when that works', async () => {
    await bench.gap()
    await bench.clock.advance(15_000)
    const alone = () => bench.queries.filter((count) => count === 1).length
    const before = alone()
    await bench.clock.advance(600_000)
    expect(alone() - before).toBeGreaterThan(5)
    expect(alone() - before).toBeLessThan(20)
    expect(healed()).toBe(1100)
    hubFails = false
    await bench.clock.advance(61_000)
    expect(healed()).toBe(1101)
    expect(bench.receipts.filter((text) => text.startsWith('hub'))).toHaveLength(1)
    expect(bench.logs.shown.at(-1)).toBe('info: healing works again')
    await bench.healing.stop()
  })

  test('joins the others again when that works', async () => {
    await bench.gap()
    await bench.clock.advance(15_000)
    hubFails = false
    await bench.clock.advance(61_000)
    bench.queries.length = 0
    await bench.gap()
    expect(bench.queries).toEqual([500, 500, 101])
    await bench.healing.stop()
  })

  test('is counted apart from regular looks, and from those after a gap', async () => {
    bench.reasons.length = 0
    await bench.gap()
    expect(bench.reasons).toEqual(['gap'])
    await bench.clock.advance(60_000)
    expect(new Set(bench.reasons)).toEqual(new Set(['gap', 'again', 'regular']))
    await bench.healing.stop()
  })

  test('is asked for no more when it has left', async () => {
    await bench.gap()
    await bench.clock.advance(15_000)
    for (const recipient of [...bench.users.of('hub')]) bench.users.remove(recipient)
    bench.queries.length = 0
    await bench.clock.advance(120_000)
    expect(bench.queries.filter((count) => count === 1)).toEqual([])
    expect(bench.logs.shown.at(-1)).toBe('info: healing works again')
    await bench.healing.stop()
  })

  test('is not looked for while the database answers nobody', async () => {
    failTimes(1000)
    await bench.gap()
    await bench.clock.advance(5_000)
    bench.beforeAnswer = () => undefined
    bench.queries.length = 0
    await bench.clock.advance(1_000)
    expect(bench.queries).toEqual([500, 500, 101])
    expect(healed()).toBe(1101)
    await bench.healing.stop()
  })
})
