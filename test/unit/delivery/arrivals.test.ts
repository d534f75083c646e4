import { beforeEach, describe, expect, test } from 'vitest'
import { settled } from '../../support/fake-clock.ts'
import { HealingBench } from '../../support/healing.ts'

let bench: HealingBench

beforeEach(() => {
  bench = new HealingBench()
})

describe('what users who have just come had acknowledged', () => {
  test('is asked once for all who come while it is asked, and before any of them goes on', async () => {
    const names = ['ann', 'cid', 'dan']
    await bench.commit('bob', 'dan')
    await bench.acknowledge('dan', 'bob', 1)
    for (const name of names) bench.join(name)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    bench.beforeAnswer = () => held
    const arrived: string[] = []
    const all = Promise.all(names.map((name) => bench.arrive(name).then(() => arrived.push(name))))
    await settled()
    expect(arrived).toEqual([])
    release()
    await all
    expect(bench.queries).toEqual([1, 2])
    expect(bench.continuity.unsure('dan', 'bob')).toMatchObject({ acknowledgedSeq: 1 })
  })

  test('is asked for many in parts, and again for one who comes again', async () => {
    const names = Array.from({ length: 1201 }, (_, index) => `user${index}`)
    await Promise.all(names.map((name) => bench.arrive(name)))
    expect(bench.queries).toEqual([1, 500, 500, 200])
    await bench.arrive('user7')
    expect(bench.queries.at(-1)).toBe(1)
  })

  test('is noted of what has changed since they were not here, however wrong this one’s clock is', async () => {
    await bench.commit('old', 'ann')
    await bench.acknowledge('ann', 'old', 1)
    await bench.clock.advance(60_000)
    bench.storeAheadMs = -20_000
    await bench.gap()
    await bench.commit('bob', 'ann')
    await bench.acknowledge('ann', 'bob', 1)
    bench.join('ann')
    await bench.arrive('ann')
    expect(bench.continuity.unsure('ann', 'bob')).toMatchObject({ acknowledgedSeq: 1 })
    expect(bench.continuity.unsure('ann', 'old')).toMatchObject({ acknowledgedSeq: undefined })
  })

  test('holds up nobody when it cannot be read, which is said once', async () => {
    bench.beforeAnswer = () => {
      throw new Error('the database is away')
    }
    for (let time = 0; time < 3; time += 1) await bench.arrive('ann')
    expect(bench.logs.shown).toHaveLength(1)
    expect(bench.logs.shown[0]).toContain('(the database is away)')
    bench.beforeAnswer = () => undefined
    await bench.arrive('ann')
    expect(bench.logs.shown).toHaveLength(2)
  })
})
