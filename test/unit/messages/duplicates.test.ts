import { describe, expect, test } from 'vitest'
import { settled } from '../../support/fake-clock.ts'
import { writerBench } from '../../support/writer.ts'

const LIMITS = { maxQueueRows: 10_000, maxBatchRows: 5_000 }

/** A writer, and batches of one new send in each of these conversations of Ann. */
function bench() {
  const all = writerBench(LIMITS)
  const { append, store } = all
  const ids = new Map<string, string>()
  let sent = 0
  /** `repeat`: those who get their last message a second time. */
  const batch = async (receivers: readonly string[], { repeat = [] as readonly string[] } = {}) => {
    for (const to of receivers) {
      sent += 1
      const id = ids.get(to)
      if (repeat.includes(to) && id !== undefined) append(`message to ${to}`, { to, id })
      else ids.set(to, append(`message to ${to}`, { to }).send.id)
    }
    await settled()
  }
  /** How each attempt was made: f fast, c careful, or for how many conversations it was careful. */
  const paths = (): string => {
    const calls = store.calls.splice(0)
    return calls.map(({ path }) => (typeof path === 'string' ? path.charAt(0) : path.size)).join('')
  }
  return { ...all, batch, paths, sent: () => sent }
}

const people = (count: number, name = 'peer') => Array.from({ length: count }, (_, index) => `${name}${index}`)

describe('a client that resends', () => {
  test('costs the conversations of others nothing after its first duplicate', async () => {
    const { batch, paths, store, failures, settledSends, sent } = bench()
    const pairs = people(50)
    const resender = 'peer7'
    for (let round = 0; round < 200; round += 1) await batch(pairs, { repeat: round % 8 === 4 ? [resender] : [] })
    const suspects = store.calls.flatMap(({ path }) => (typeof path === 'string' ? [] : [...path]))
    expect(new Set(suspects)).toEqual(new Set([`ann ${resender}`]))
    expect(paths()).toBe(`fffffc${'1'.repeat(195)}`)
    expect(failures).toEqual(['duplicate'])
    expect(settledSends).toHaveLength(sent())
    expect(settledSends.filter(({ fate }) => fate === 'duplicate')).toHaveLength(25)
  })

  test('is trusted again after eight batches without a duplicate, counting those that hold a send of it', async () => {
    const { batch, paths } = bench()
    await batch(['bob'])
    await batch(['bob'], { repeat: ['bob'] })
    for (let round = 0; round < 20; round += 1) await batch(['cid'])
    for (let round = 0; round < 9; round += 1) await batch(['bob', 'cid'])
    expect(paths()).toBe(`ffc${'f'.repeat(20)}11111111f`)
  })
})

describe('duplicates from everywhere', () => {
  test('make every batch careful for a while, so that an outbox of everybody fails twice and not each time', async () => {
    const { batch, paths, failures } = bench()
    const everybody = people(30)
    await batch(everybody)
    for (const one of everybody.slice(0, 11)) await batch([one], { repeat: [one] })
    expect(paths()).toBe('ffcfccccccccfcc')
    expect(failures).toHaveLength(3)
  })

  test('are remembered of a thousand conversations at most', async () => {
    const { batch, paths } = bench()
    const everybody = people(1_500)
    await batch(everybody)
    await batch(everybody, { repeat: everybody })
    await batch(everybody)
    expect(paths()).toBe('ffc1000')
  })
})

test('a send that was stored by a commit of unknown outcome makes nobody suspected', async () => {
  const { append, store, clock, paths, outcomes } = bench()
  store.outcomes.push('unknown-stored')
  append('one')
  await clock.advance(1000)
  append('two')
  await settled()
  expect(outcomes()).toEqual(['one duplicate', 'two stored'])
  expect(paths()).toBe('fcf')
})
