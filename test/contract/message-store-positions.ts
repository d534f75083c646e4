import { describe, expect, test } from 'vitest'
import { conversationBetween } from '../../src/messages/conversation.ts'
import type { MessageStore, PendingMessage, PositionChange } from '../../src/messages/store.ts'
import { pendingMessage, positionChange, strangers } from '../support/builders.ts'
import { PATHS } from './message-store-commits.ts'

export function describePositions(store: () => MessageStore): void {
  describe.each(PATHS)('positions on the %s path', (path) => {
    const commit = (messages: readonly PendingMessage[], positions: readonly PositionChange[] = []) =>
      store().commit(messages, positions, path)
    const times = (count: number, from: string, to: string) =>
      Array.from({ length: count }, () => pendingMessage(from, to))
    /** Own delivered and read, then the other's, as `user` sees them. */
    const seenBy = async (user: string, other: string) => {
      const change = (await store().changes(user)).found.find((one) => one.with === other)
      return change && [change.delivered_seq, change.read_seq, change.peer_delivered_seq, change.peer_read_seq]
    }

    test('are given back as they are after the commit, with who asked', async () => {
      const [a, b] = strangers()
      await commit(times(5, a, b))
      const origin = {}
      const [state, ...rest] = await commit([], [positionChange(b, a, { delivered: 4, read: 2 }, origin)])
      expect(rest).toEqual([])
      expect(state).toMatchObject({ user: b, delivered: 4, read: 2, conversation: conversationBetween(a, b) })
      expect(state?.movedBy).toBe(origin)
      expect(await seenBy(b, a)).toEqual([4, 2, 5, 5])
      expect(await seenBy(a, b)).toEqual([5, 5, 4, 2])
    })

    test('never decrease', async () => {
      const [a, b] = strangers()
      await commit(times(5, a, b))
      await commit([], [positionChange(b, a, { delivered: 4, read: 3 })])
      expect(await commit([], [positionChange(b, a, { delivered: 1, read: 1 })])).toMatchObject([
        { delivered: 4, read: 3 },
      ])
      expect(await commit([], [positionChange(b, a, { delivered: 5 })])).toMatchObject([{ delivered: 5, read: 3 }])
      expect(await seenBy(b, a)).toEqual([5, 3, 5, 5])
    })

    test('never pass the head', async () => {
      const [a, b] = strangers()
      await commit(times(3, a, b))
      expect(await commit([], [positionChange(b, a, { delivered: 99, read: 98 })])).toMatchObject([
        { delivered: 3, read: 3 },
      ])
      expect(await commit(times(1, a, b), [positionChange(b, a, { delivered: 99 })])).toMatchObject([
        { delivered: 4, read: 3 },
      ])
      const [c, d] = strangers()
      expect(await commit([], [positionChange(c, d, { delivered: 7, read: 7 })])).toMatchObject([
        { delivered: 0, read: 0 },
      ])
    })

    test('of a sender who was at the head stay at the head', async () => {
      const [a, b] = strangers()
      await commit(times(2, a, b))
      await commit(times(3, a, b))
      expect(await seenBy(a, b)).toEqual([5, 5, 0, 0])
    })

    test('of a sender who was behind stay where they are', async () => {
      const [a, b] = strangers()
      await commit(times(2, a, b))
      await commit(times(3, b, a))
      expect(await seenBy(b, a)).toEqual([0, 0, 2, 2])
    })

    test('of a sender at the head pass only over their own messages', async () => {
      const [a, b] = strangers()
      await commit([...times(2, a, b), ...times(1, b, a), ...times(1, a, b)])
      expect(await seenBy(a, b)).toEqual([2, 2, 0, 0])
    })

    test('of delivery and of reading are carried apart', async () => {
      const [a, b] = strangers()
      await commit(times(2, a, b))
      await commit([], [positionChange(b, a, { delivered: 2, read: 1 })])
      await commit(times(1, b, a))
      expect(await seenBy(b, a)).toEqual([3, 1, 2, 2])
    })

    test('of both people move in one batch with messages', async () => {
      const [a, b] = strangers()
      await commit([...times(2, a, b), ...times(2, b, a)])
      const states = await commit(times(1, a, b), [
        positionChange(a, b, { delivered: 4, read: 4 }),
        positionChange(b, a, { delivered: 3, read: 1 }),
      ])
      expect(states.map(({ user, delivered, read }) => [user, delivered, read]).sort()).toEqual([
        [a, 4, 4],
        [b, 3, 1],
      ])
      expect(await seenBy(a, b)).toEqual([4, 4, 3, 1])
    })

    test('asked twice of one person in one batch keep the furthest', async () => {
      const [a, b] = strangers()
      await commit(times(5, a, b))
      const changes = [positionChange(b, a, { delivered: 4, read: 1 }), positionChange(b, a, { delivered: 2, read: 2 })]
      expect(await commit([], changes)).toMatchObject([{ delivered: 4, read: 2 }])
    })

    test('of a conversation with oneself are at its head', async () => {
      const [a] = strangers()
      await commit(times(2, a, a))
      await commit(times(1, a, a), [positionChange(a, a, { delivered: 1, read: 1 })])
      expect(await seenBy(a, a)).toEqual([3, 3, 3, 3])
      expect((await store().backlog(a)).found).toEqual([])
    })

    test('of many conversations do not mix', async () => {
      const pairs = Array.from({ length: 40 }, strangers)
      await commit(pairs.flatMap(([a, b], index) => times(index + 1, a, b)))
      const states = await commit(
        times(1, ...(pairs[7] ?? ['', ''])),
        pairs.map(([a, b], index) => positionChange(b, a, { delivered: index + 1, read: index })),
      )
      expect(states).toHaveLength(40)
      for (const [index, [a, b]] of pairs.entries()) {
        expect((await seenBy(b, a))?.slice(0, 2)).toEqual([index + 1, index])
      }
    })
  })

  test('positions of a batch that failed are not moved', async () => {
    const [a, b] = strangers()
    const first = pendingMessage(a, b)
    await store().commit([first], [], 'fast')
    const again = pendingMessage(a, b, first.content, first.id)
    await expect(store().commit([again], [positionChange(b, a, { delivered: 1 })], 'fast')).rejects.toMatchObject({
      failure: 'duplicate',
    })
    expect((await store().backlog(b)).found).toEqual([{ with: a, deliveredSeq: 0, lastSeq: 1 }])
  })
}
