import { describe, expect, test } from 'vitest'
import { sleep } from '../../../src/lib/clock.ts'
import { CommitError } from '../../../src/messages/store.ts'
import { positionChange } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { collectGarbage } from '../../support/garbage.ts'
import { writerBench } from '../../support/writer.ts'

const moved = (delivered: number, read = 0, origin?: object) =>
  positionChange('bob', 'ann', { delivered, read }, origin)

async function withMessages(count: number) {
  const bench = writerBench()
  for (let index = 0; index < count; index += 1) bench.append(`m${index}`)
  await settled()
  bench.store.calls.length = 0
  return bench
}

describe('positions', () => {
  test('ride along with the sends of the same batch', async () => {
    const { append, writer, store } = await withMessages(3)
    writer.advance(moved(2))
    append('four')
    await settled()
    expect(store.calls).toMatchObject([{ contents: ['four'], positions: [{ user: 'bob', delivered: 2 }] }])
  })

  test('alone wait 20 ms for company', async () => {
    const { clock, writer, store, settledPositions } = await withMessages(3)
    writer.advance(moved(1))
    await clock.advance(19)
    expect(store.calls).toEqual([])
    writer.advance(moved(2))
    await clock.advance(1)
    expect(store.calls).toMatchObject([{ contents: [], positions: [{ delivered: 2 }] }])
    expect(settledPositions).toMatchObject([{ user: 'bob', delivered: 2 }])
    await clock.advance(100)
    expect(store.calls).toHaveLength(1)
  })

  test('of one person in one conversation are one, the furthest; of others they stay apart', async () => {
    const { clock, writer, store } = await withMessages(5)
    writer.advance(moved(4))
    writer.advance(moved(2, 2))
    writer.advance(positionChange('ann', 'bob', { delivered: 1 }))
    writer.advance(positionChange('bob', 'cid', { delivered: 1 }))
    await clock.advance(20)
    const positions = store.calls[0]?.positions.map(({ user, conversation, delivered, read }) => [
      user,
      conversation.key,
      delivered,
      read,
    ])
    expect(positions).toEqual([
      ['bob', 'ann bob', 4, 2],
      ['ann', 'ann bob', 1, 0],
      ['bob', 'bob cid', 1, 0],
    ])
  })

  test('name who asked only when it was one alone', async () => {
    const { clock, writer, settledPositions } = await withMessages(5)
    const [phone, laptop] = [{}, {}]
    writer.advance(moved(1, 0, phone))
    writer.advance(moved(2, 0, phone))
    await clock.advance(20)
    writer.advance(moved(3, 0, phone))
    writer.advance(moved(4, 0, laptop))
    await clock.advance(20)
    expect(settledPositions.map(({ movedBy }) => movedBy)).toEqual([phone, undefined])
    expect(settledPositions[0]?.movedBy).toBe(phone)
  })

  test('of a commit that failed are tried again until they are stored', async () => {
    const { clock, writer, store, settledPositions } = await withMessages(2)
    store.outcomes.push(...Array<'aborted'>(20).fill('aborted'))
    writer.advance(moved(2))
    await clock.advance(60_000)
    expect(settledPositions).toMatchObject([{ delivered: 2 }])
    expect((await store.backlog('bob')).found).toEqual([])
  })

  test('of a conversation whose row is gone are tried the careful way, and hold up no other conversation', async () => {
    const { append, clock, writer, store, outcomes, settledPositions } = await withMessages(2)
    const commit = store.commit.bind(store)
    let isOpen = false
    store.commit = async (sends, positions, path) => {
      const of = new Set(positions.map(({ conversation }) => conversation.key))
      if (of.size === 0 || isOpen) return commit(sends, positions, path)
      store.calls.push({ contents: [], positions, path })
      if (path === 'fast' && store.calls.length < 50) throw new CommitError('unnumbered', undefined, of)
      isOpen = true
      throw new CommitError('aborted', undefined)
    }
    writer.advance(moved(2))
    await clock.advance(20)
    expect(store.calls.map(({ path }) => path)).toEqual(['fast', 'careful'])
    append('of others', { to: 'cid' })
    await clock.advance(5_000)
    expect(outcomes().at(-1)).toBe('of others stored')
    expect(settledPositions).toMatchObject([{ user: 'bob', delivered: 2 }])
  })

  test('of a log that never finds the row are tried with pauses', async () => {
    const { clock, writer, store } = await withMessages(2)
    let attempts = 0
    store.commit = async (_sends, positions) => {
      attempts += 1
      if (attempts > 50) throw new CommitError('aborted', undefined)
      throw new CommitError('unnumbered', undefined, new Set(positions.map(({ conversation }) => conversation.key)))
    }
    writer.advance(moved(2))
    await clock.advance(20)
    expect(attempts).toBe(2)
  })

  test('are stored in batches of the usual size, and whoever waits for them waits for all of those', async () => {
    const { clock, writer, store } = writerBench({ maxBatchRows: 2 })
    for (let person = 0; person < 5; person += 1) writer.advance(positionChange(`p${person}`, 'ann', { delivered: 1 }))
    let storedBefore = 0
    void writer.allSettled().then(() => {
      storedBefore = store.calls.length
    })
    await clock.advance(20)
    expect(store.calls.map(({ positions }) => positions.map(({ user }) => user))).toEqual([
      ['p0', 'p1'],
      ['p2', 'p3'],
      ['p4'],
    ])
    expect(storedBefore).toBe(3)
  })

  test('let those go who gave up waiting for them, with the send before which they came', async () => {
    const { clock, writer, store, append, settledSends } = writerBench()
    store.outcomes.push(...Array<'aborted'>(100).fill('aborted'))
    writer.advance(positionChange('bob', 'ann', { delivered: 1 }))
    await clock.advance(20)
    const waiting = [writer.allSettled(2_000), writer.allSettled(2_000)]
    const send = new WeakRef(append('refused in the end').send)
    waiting.push(writer.allSettled(2_000))
    await clock.advance(2_500)
    await Promise.all(waiting)
    expect(settledSends.splice(0)).toHaveLength(1)
    collectGarbage()
    expect(send.deref()).toBeUndefined()
  })

  test('are refused beyond 50,000 people, but those that wait may still move', async () => {
    const { writer } = writerBench()
    for (let person = 0; person < 50_000; person += 1) {
      expect(writer.advance(positionChange(`p${person}`, 'ann', { delivered: 1 }))).toBeUndefined()
    }
    expect(writer.advance(positionChange('late', 'ann', { delivered: 1 }))).toBe('overloaded')
    expect(writer.advance(positionChange('p7', 'ann', { delivered: 2 }))).toBeUndefined()
  })
})

describe('close', () => {
  test('stores what is queued, then resolves', async () => {
    const { append, writer, store, outcomes, clock } = await withMessages(1)
    store.outcomes.push('hang')
    append('two')
    await settled()
    append('three')
    writer.advance(moved(1))
    let closed = false
    const closing = writer.close(5000).then(() => {
      closed = true
    })
    await settled()
    expect(closed).toBe(false)
    store.release()
    await closing
    expect(outcomes().slice(1)).toEqual(['two stored', 'three stored'])
    expect((await store.backlog('bob')).found).toMatchObject([{ deliveredSeq: 1 }])
    expect(clock.pending).toBe(0)
  })

  test('stores positions that wait for company', async () => {
    const { writer, store, clock } = await withMessages(2)
    writer.advance(moved(2))
    await writer.close(5000)
    expect((await store.backlog('bob')).found).toEqual([])
    expect(clock.pending).toBe(0)
  })

  test('refuses what comes later', async () => {
    const { append, writer, outcomes } = await withMessages(1)
    const closing = writer.close(5000)
    expect(append('two').refusal).toBe('unavailable')
    expect(writer.advance(moved(1))).toBe('unavailable')
    await closing
    expect(append('three').refusal).toBe('unavailable')
    expect(outcomes()).toEqual(['m0 stored'])
  })

  test('of an idle writer resolves at once', async () => {
    const { writer, clock } = writerBench()
    await writer.close(5000)
    expect(clock.pending).toBe(0)
  })

  test('resolves at its time-out although a commit hangs, refusing what is still queued', async () => {
    const { append, writer, store, clock, outcomes } = writerBench({ maxQueueAgeMs: 60_000 })
    store.outcomes.push('hang')
    append('in flight')
    await settled()
    append('queued')
    let closed = false
    void writer.close(5000).then(() => {
      closed = true
    })
    await clock.advance(4999)
    expect(closed).toBe(false)
    await clock.advance(1)
    expect(closed).toBe(true)
    expect(outcomes()).toEqual(['queued unavailable'])
  })

  test('gives up positions that cannot be stored when a send would be: what they stand for comes again', async () => {
    const { writer, store, clock } = await withMessages(1)
    store.outcomes.push(...Array<'aborted'>(1000).fill('aborted'))
    writer.advance(moved(1))
    let closed = false
    void writer.close(20_000).then(() => {
      closed = true
    })
    await clock.advance(1_999)
    expect(closed).toBe(false)
    await clock.advance(600)
    expect(closed).toBe(true)
    expect((await store.backlog('bob')).found).toMatchObject([{ deliveredSeq: 0 }])
    expect(clock.pending).toBe(0)
  })

  test('gives up all of them then, however many batches they make and however long an attempt hangs', async () => {
    const { writer, store, clock } = writerBench({ maxBatchRows: 2 })
    let attempts = 0
    store.commit = async () => {
      attempts += 1
      await sleep(clock, 1_500)
      throw new CommitError('aborted', undefined)
    }
    for (let person = 0; person < 10; person += 1) writer.advance(positionChange(`p${person}`, 'ann', { delivered: 1 }))
    const closing = writer.close(20_000)
    await clock.advance(4_000)
    await closing
    expect(attempts).toBe(2)
    expect(clock.pending).toBe(0)
  })
})
