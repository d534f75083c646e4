import { describe, expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { CommitError } from '../../../src/messages/store.ts'
import { positionChange } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { writerBench } from '../../support/writer.ts'

const ANN_AND_BOB = conversationBetween('ann', 'bob')

async function isPending(work: Promise<unknown>): Promise<boolean> {
  let done = false
  void work.then(() => {
    done = true
  })
  await settled()
  return !done
}

describe('batches', () => {
  test('store a send of an idle writer without waiting for any time', async () => {
    const { append, outcomes, clock } = writerBench()
    const startedMs = clock.now()
    append('one')
    await settled()
    expect(outcomes()).toEqual(['one stored'])
    expect(clock.now()).toBe(startedMs)
  })

  test('hold everything of one turn, and then everything that came during the commit before', async () => {
    const { append, store } = writerBench()
    store.outcomes.push('hang')
    append('one')
    append('two')
    await settled()
    append('three')
    append('four')
    await settled()
    expect(store.calls).toHaveLength(1)
    store.release()
    await settled()
    expect(store.calls.map(({ contents }) => contents)).toEqual([
      ['one', 'two'],
      ['three', 'four'],
    ])
  })

  test('keep the limit of rows', async () => {
    const { append, store, outcomes } = writerBench({ maxBatchRows: 3 })
    for (const content of 'abcdefgh') append(content)
    await settled()
    expect(store.calls.map(({ contents }) => contents.join(''))).toEqual(['abc', 'def', 'gh'])
    expect(outcomes()).toHaveLength(8)
  })

  test('keep 4 MiB of text, but one send always goes', async () => {
    const { append, store } = writerBench()
    for (const size of [1, 1, 1, 1, 5, 1]) append('x'.repeat(size * 1024 * 1024))
    await settled()
    expect(store.calls.map(({ contents }) => contents.length)).toEqual([3, 1, 1, 1])
  })

  test('settle as stored only after the commit', async () => {
    const { append, store, settledSends } = writerBench()
    store.outcomes.push('hang')
    const { send } = append('one')
    await settled()
    expect(settledSends).toEqual([])
    expect(send.fate).toBe('pending')
    store.release()
    await settled()
    expect(settledSends).toEqual([send])
    expect(send).toMatchObject({ fate: 'stored', seq: 1 })
  })

  test('reach the store before the outcome of the batch before is told', async () => {
    const callsWhenTold: number[] = []
    const { append, store } = writerBench({}, () => callsWhenTold.push(store.calls.length))
    store.outcomes.push('hang', 'hang')
    append('one')
    await settled()
    append('two')
    store.release()
    await settled()
    expect(callsWhenTold).toEqual([2])
    store.release()
    await settled()
    expect(callsWhenTold).toEqual([2, 2])
  })

  test('are told though the next one fails', async () => {
    const { append, store, outcomes } = writerBench({ maxBatchRows: 2 })
    for (const content of ['one', 'two', 'three', 'four']) append(content)
    store.outcomes.push('ok', 'aborted')
    await settled()
    expect(outcomes()).toEqual(['one stored', 'two stored'])
    expect(store.calls.length).toBe(2)
  })

  test('tell how many sends wait and how old the oldest is, in the queue or in flight', async () => {
    const { append, store, clock, writer } = writerBench()
    expect(writer.oldestAgeMs).toBe(0)
    store.outcomes.push('hang')
    append('one')
    await clock.advance(30)
    append('two')
    await clock.advance(40)
    expect(writer.queuedRows).toBe(1)
    expect(writer.oldestAgeMs).toBe(70)
    store.release()
    await settled()
    expect(writer.oldestAgeMs).toBe(0)
  })
})

describe('one bad row', () => {
  test.each([0, 1, 3, 6])('at place %i fails only itself, and its neighbours keep their order', async (place) => {
    const { append, outcomes, store } = writerBench()
    const contents = Array.from('abcdefg', (letter, index) => (index === place ? 'bad' : letter))
    for (const content of contents) append(content)
    await settled()
    expect(outcomes()).toEqual(
      contents.map((content) => (content === 'bad' ? 'bad invalid_text' : `${content} stored`)),
    )
    const { messages } = await store.page(ANN_AND_BOB, { after: 0, limit: 10 })
    expect(messages.map(({ content }) => content)).toEqual(contents.filter((content) => content !== 'bad'))
  })

  test('alone in its batch does not take positions with it', async () => {
    const { append, writer, store, settledPositions } = writerBench()
    append('first')
    await settled()
    append('bad')
    writer.advance(positionChange('bob', 'ann', { delivered: 1 }))
    await settled()
    expect(settledPositions).toMatchObject([{ user: 'bob', delivered: 1 }])
    expect((await store.backlog('bob')).found).toEqual([])
  })

  test('among a batch whose outcome was unknown fails only itself too', async () => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push('unknown-lost')
    for (const content of ['a', 'bad', 'c']) append(content)
    await clock.advance(5000)
    expect(outcomes()).toEqual(['a stored', 'bad invalid_text', 'c stored'])
    expect(store.calls.slice(1).map(({ path }) => path)).not.toContain('fast')
  })
})

describe('a commit that fails', () => {
  test('is tried again, on the same path, and its sends settle once', async () => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push('aborted', 'aborted')
    append('one')
    await settled()
    expect(outcomes()).toEqual([])
    await clock.advance(1000)
    expect(outcomes()).toEqual(['one stored'])
    expect(store.calls.map(({ path }) => path)).toEqual(['fast', 'fast', 'fast'])
  })

  test('in a way nobody foresaw is tried again', async () => {
    const { append, outcomes, store, clock, failures } = writerBench()
    store.outcomes.push('bug')
    append('one')
    await clock.advance(1000)
    expect(outcomes()).toEqual(['one stored'])
    expect(failures).toEqual(['aborted'])
  })

  test('keeps what comes meanwhile behind it', async () => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push('aborted')
    append('one')
    await settled()
    append('two')
    await clock.advance(1000)
    expect(outcomes()).toEqual(['one stored', 'two stored'])
  })

  test('for a duplicate goes the careful way at once, and so do the next batches of its conversation', async () => {
    const { append, outcomes, store } = writerBench()
    const { send } = append('one')
    await settled()
    append('one', { id: send.id })
    append('other', { id: send.id })
    append('two')
    await settled()
    expect(outcomes().slice(1)).toEqual(['one duplicate', 'other conflict', 'two stored'])
    for (let batch = 0; batch < 9; batch += 1) {
      append(`more ${batch}`)
      await settled()
    }
    const paths = store.calls.map(({ path }) => (path === 'fast' ? 'f' : path === 'careful' ? 'c' : 's')).join('')
    expect(paths).toBe('ffcssssssssf')
  })
})

describe('an unknown outcome', () => {
  test.each([
    ['unknown-stored', 'one duplicate'],
    ['unknown-lost', 'one stored'],
  ] as const)('of a commit that was %s is resolved on the careful path as %s', async (outcome, resolved) => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push(outcome)
    append('one')
    await settled()
    expect(outcomes()).toEqual([])
    await clock.advance(1000)
    expect(outcomes()).toEqual([resolved])
    expect(store.calls.map(({ path }) => path)).toEqual(['fast', 'careful'])
    expect((await store.page(ANN_AND_BOB, { limit: 9 })).messages.map(({ content }) => content)).toEqual(['one'])
  })

  test('is never refused, however long the store stays away, and never tried on the fast path again', async () => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push('unknown-stored', ...Array<'aborted'>(200).fill('aborted'))
    append('one')
    await clock.advance(10_000)
    expect(outcomes()).toEqual([])
    append('two')
    await clock.advance(2_000)
    expect(outcomes()).toEqual(['two unavailable'])
    await clock.advance(200_000)
    expect(outcomes()).toEqual(['two unavailable', 'one duplicate'])
    expect(store.calls.slice(1).filter(({ path }) => path === 'fast')).toEqual([])
  })
})

describe('limits of the queue', () => {
  test('refuse a send beyond the rows, and take one again when there is room', async () => {
    const { append, store, outcomes } = writerBench({ maxQueueRows: 2 })
    store.outcomes.push('hang')
    append('in flight')
    await settled()
    expect([append('one'), append('two'), append('three')].map(({ refusal }) => refusal)).toEqual([
      undefined,
      undefined,
      'overloaded',
    ])
    store.release()
    await settled()
    expect(append('four').refusal).toBeUndefined()
    await settled()
    expect(outcomes()).toEqual(['in flight stored', 'one stored', 'two stored', 'four stored'])
  })

  test('refuse some before it is full, the more the fuller it is, but none up to a half', async () => {
    let luck = 0
    const { append, store } = writerBench({ maxQueueRows: 100 }, undefined, () => luck)
    store.outcomes.push('hang')
    append('in flight')
    await settled()
    const fill = (count: number) => new Set(Array.from({ length: count }, () => append('waits').refusal))
    expect(fill(50)).toEqual(new Set([undefined]))
    luck = 1
    expect(fill(32)).toEqual(new Set([undefined]))
    // 82 wait: 27 of the last 45, so six in ten are refused.
    luck = 0.59
    expect(append('unlucky').refusal).toBe('overloaded')
    luck = 0.61
    expect(append('lucky').refusal).toBeUndefined()
    luck = 0.59
    expect(append('unlucky').refusal).toBe('overloaded')
  })

  test('refuse some as well when it is the bytes that get scarce', async () => {
    let luck = 0.49
    const { append } = writerBench({ maxQueueBytes: 120_000 }, undefined, () => luck)
    expect(append('x'.repeat(65_800)).refusal).toBeUndefined()
    // 66,000 of 120,000 are the first 55 %.
    expect(append('x'.repeat(26_800)).refusal).toBeUndefined()
    // 27,000 of the last 54,000: every second one is refused.
    expect(append('unlucky').refusal).toBe('overloaded')
    luck = 0.51
    expect(append('lucky').refusal).toBeUndefined()
  })

  test('refuse a send beyond the bytes, counting those that left', async () => {
    const { append } = writerBench({ maxQueueBytes: 3000 })
    for (let round = 0; round < 5; round += 1) {
      expect(
        [append('x'.repeat(1200)), append('x'.repeat(1200)), append('x'.repeat(1200))].map((one) => one.refusal),
      ).toEqual([undefined, undefined, 'overloaded'])
      await settled()
    }
  })

  test('count the bytes of a ref, which waits as long as the text', async () => {
    const { append } = writerBench({ maxQueueBytes: 3000 })
    expect(append('x', { ref: 'r'.repeat(2500) }).refusal).toBeUndefined()
    expect(append('x', { ref: 'r'.repeat(300) }).refusal).toBe('overloaded')
  })

  test('say unavailable instead of overloaded while the store fails', async () => {
    const { append, store } = writerBench({ maxQueueRows: 1 })
    store.outcomes.push('aborted')
    append('one')
    await settled()
    append('two')
    expect(append('three').refusal).toBe('unavailable')
  })

  test('refuse a send that could not be stored in time because the store fails, within 2 s', async () => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push(...Array<'aborted'>(30).fill('aborted'))
    append('one')
    await clock.advance(500)
    append('two')
    await clock.advance(999)
    expect(outcomes()).toEqual([])
    await clock.advance(501)
    expect(outcomes()).toEqual(['one unavailable', 'two unavailable'].slice(0, outcomes().length))
    expect(outcomes()).toContain('one unavailable')
    await clock.advance(500)
    expect(outcomes()).toEqual(['one unavailable', 'two unavailable'])
    store.outcomes.length = 0
    append('three')
    await settled()
    expect(outcomes().at(-1)).toBe('three stored')
  })

  test('refuse a send 100 ms after its time at most, however long the pause between two attempts is', async () => {
    const ages: number[] = []
    const { append, store, clock, settledSends } = writerBench({}, () => {
      ages.push(...settledSends.slice(ages.length).map(({ queuedAtMs }) => clock.now() - queuedAtMs))
    })
    store.outcomes.push(...Array<'aborted'>(2000).fill('aborted'))
    for (let count = 0; count < 200; count += 1) {
      append(`message ${count}`)
      await clock.advance(50)
    }
    await clock.advance(2100)
    expect(ages).toHaveLength(200)
    expect(Math.max(...ages)).toBeLessThanOrEqual(2100)
  })

  test('refuse what queues behind a commit that hangs, and never what is in it', async () => {
    const { append, outcomes, store, clock } = writerBench()
    store.outcomes.push('hang')
    append('in flight')
    await clock.advance(100)
    append('behind')
    await clock.advance(1999)
    expect(outcomes()).toEqual([])
    await clock.advance(1)
    expect(outcomes()).toEqual(['behind unavailable'])
    await clock.advance(60_000)
    store.release()
    await settled()
    expect(outcomes()).toEqual(['behind unavailable', 'in flight stored'])
  })
})

describe('a store that takes 300 ms for a commit', () => {
  /** A commit that is cancelled meanwhile has failed. */
  function slowBench() {
    const bench = writerBench({ maxQueueAgeMs: 1800 })
    const { store, clock } = bench
    const commit = store.commit.bind(store)
    let giveUp: () => void = () => undefined
    store.commit = async (...batch) => {
      await new Promise<void>((resolve, reject) => {
        const cancel = clock.after(300, resolve)
        giveUp = () => {
          cancel()
          reject(new CommitError('aborted', undefined))
        }
      })
      return commit(...batch)
    }
    store.cancelCommit = () => giveUp()
    return bench
  }

  test('stores again after an outage, while sends of every age wait', async () => {
    const { append, outcomes, store, clock } = slowBench()
    store.outcomes.push(...Array<'aborted'>(10).fill('aborted'))
    for (let count = 0; count < 400; count += 1) {
      append(`message ${count}`)
      await clock.advance(25)
    }
    await clock.advance(1000)
    expect(outcomes()[0]).toBe('message 0 unavailable')
    expect(outcomes().at(-1)).toBe('message 399 stored')
  })

  test('resolves an unknown outcome, while what queues behind it grows too old', async () => {
    const { append, outcomes, store, clock } = slowBench()
    store.outcomes.push('unknown-lost', ...Array<'aborted'>(10).fill('aborted'))
    append('unknown')
    for (let count = 0; count < 400; count += 1) {
      await clock.advance(25)
      append(`message ${count}`)
    }
    await clock.advance(1000)
    expect(outcomes()).toContain('unknown stored')
    expect(outcomes().at(-1)).toBe('message 399 stored')
  })
})

describe('a listener that throws', () => {
  test('does not stop the writer', async () => {
    const { append, outcomes, store } = writerBench({}, () => {
      throw new Error('a listener failed')
    })
    append('one')
    append('bad')
    await settled()
    append('two')
    await settled()
    expect(outcomes()).toEqual(['one stored', 'bad invalid_text', 'two stored'])
    expect(store.calls.at(-1)?.contents).toEqual(['two'])
  })
})

describe('flushed', () => {
  test('resolves at once when nothing waits', async () => {
    const { writer } = writerBench()
    expect(await isPending(writer.allSettled())).toBe(false)
  })

  test('resolves when what was appended before is settled, and does not wait for what came after', async () => {
    const { append, store, writer, outcomes } = writerBench()
    store.outcomes.push('hang', 'hang')
    append('one')
    const flushed = writer.allSettled()
    expect(await isPending(flushed)).toBe(true)
    append('two')
    store.release()
    expect(await isPending(flushed)).toBe(false)
    expect(outcomes()).toEqual(['one stored'])
  })

  test('waits for the batch in flight and for the queue behind it', async () => {
    const { append, store, writer } = writerBench()
    store.outcomes.push('hang', 'hang')
    append('one')
    await settled()
    append('two')
    const flushed = writer.allSettled()
    store.release()
    expect(await isPending(flushed)).toBe(true)
    store.release()
    expect(await isPending(flushed)).toBe(false)
  })

  test('waits for the batch in flight also when positions wait behind it, and for those', async () => {
    const { append, store, writer } = writerBench()
    store.outcomes.push('hang', 'hang')
    append('one')
    await settled()
    writer.advance(positionChange('bob', 'ann', { delivered: 1 }))
    const flushed = writer.allSettled()
    store.release()
    expect(await isPending(flushed)).toBe(true)
    store.release()
    expect(await isPending(flushed)).toBe(false)
  })

  test('waits for positions that the batch of the last send has no room for', async () => {
    const { append, store, writer } = writerBench({ maxBatchRows: 2 })
    store.outcomes.push('hang', 'hang')
    append('one')
    for (const person of ['bob', 'cid', 'dan']) writer.advance(positionChange(person, 'ann', { delivered: 1 }))
    const flushed = writer.allSettled()
    await settled()
    store.release()
    expect(await isPending(flushed)).toBe(true)
    store.release()
    expect(await isPending(flushed)).toBe(false)
  })

  test('counts a refusal as settled', async () => {
    const { append, store, writer, clock } = writerBench()
    store.outcomes.push(...Array<'aborted'>(30).fill('aborted'))
    append('one')
    const flushed = writer.allSettled()
    await clock.advance(3000)
    expect(await isPending(flushed)).toBe(false)
  })
})
