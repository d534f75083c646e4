import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { MessageStore, PendingMessage } from '../../src/messages/store.ts'
import { pendingMessage, strangers } from '../support/builders.ts'
import { everything } from './message-store-commits.ts'

const outcome = ({ fate, seq, created_at }: PendingMessage) => ({ fate, seq, created_at })

export function describeDuplicates(store: () => MessageStore): void {
  describe('an id that the conversation already has', () => {
    const careful = (...messages: PendingMessage[]) => store().commit(messages, [], 'careful')
    const fast = (...messages: PendingMessage[]) => store().commit(messages, [], 'fast')

    test('fails the fast path, which leaves nothing of its batch', async () => {
      const [a, b] = strangers()
      const [c, d] = strangers()
      const first = pendingMessage(a, b, 'first')
      await fast(first)
      const batch = [
        pendingMessage(c, d),
        pendingMessage(a, b, 'before'),
        pendingMessage(a, b, 'first', first.id),
        pendingMessage(a, b, 'after'),
      ]
      await expect(fast(...batch)).rejects.toMatchObject({ name: 'CommitError', failure: 'duplicate' })
      expect(batch.map(outcome)).toEqual(batch.map(() => ({ fate: 'pending', seq: 0, created_at: '' })))
      expect(await everything(store(), a, b)).toHaveLength(1)
      expect(await everything(store(), c, d)).toEqual([])
      expect(await store().lastSeq(first.conversation)).toBe(1)
    })

    test('fails the fast path also within one batch', async () => {
      const [a, b] = strangers()
      const id = randomUUID()
      await expect(fast(pendingMessage(a, b, 'x', id), pendingMessage(a, b, 'x', id))).rejects.toMatchObject({
        failure: 'duplicate',
      })
      expect(await everything(store(), a, b)).toEqual([])
    })

    test('is looked up in those conversations alone that are named', async () => {
      const [a, b] = strangers()
      const [c, d] = strangers()
      const first = pendingMessage(a, b, 'first')
      await fast(first, pendingMessage(c, d, 'theirs'))
      const named = new Set([first.conversation.key])
      const batch = [
        pendingMessage(c, d, 'new'),
        pendingMessage(a, b, 'first', first.id),
        pendingMessage(a, b, 'second'),
        pendingMessage(d, c, 'newer'),
      ]
      await store().commit(batch, [], named)
      expect(batch.map(({ fate, seq }) => [fate, seq])).toEqual([
        ['stored', 2],
        ['duplicate', 1],
        ['stored', 2],
        ['stored', 3],
      ])
      const other = pendingMessage(c, d, 'new', batch[0]?.id)
      const next = pendingMessage(a, b, 'third')
      await expect(store().commit([next, other], [], named)).rejects.toMatchObject({ failure: 'duplicate' })
      expect(await everything(store(), a, b)).toHaveLength(2)
    })

    test('leaves the store able to commit the same batch on the careful path', async () => {
      const [a, b] = strangers()
      const first = pendingMessage(a, b, 'first')
      await fast(first)
      const batch = [pendingMessage(a, b, 'first', first.id), pendingMessage(b, a, 'second')]
      await expect(fast(...batch)).rejects.toMatchObject({ failure: 'duplicate' })
      await careful(...batch)
      expect(batch.map(({ fate, seq }) => [fate, seq])).toEqual([
        ['duplicate', 1],
        ['stored', 2],
      ])
    })

    test('gets the first outcome on the careful path, and its neighbours stay dense', async () => {
      const [a, b] = strangers()
      const old = [pendingMessage(a, b, 'one'), pendingMessage(b, a, 'two')]
      await fast(...old)
      const batch = [
        pendingMessage(a, b, 'three'),
        pendingMessage(b, a, 'two', old[1]?.id),
        pendingMessage(a, b, 'four'),
        pendingMessage(a, b, 'one', old[0]?.id),
        pendingMessage(b, a, 'five'),
      ]
      await careful(...batch)
      expect(batch.map(({ fate, seq }) => [fate, seq])).toEqual([
        ['stored', 3],
        ['duplicate', 2],
        ['stored', 4],
        ['duplicate', 1],
        ['stored', 5],
      ])
      expect(batch[1]?.created_at).toBe(old[1]?.created_at)
      expect(batch[3]?.created_at).toBe(old[0]?.created_at)
      const stored = await everything(store(), a, b)
      expect(stored.map(({ content }) => content)).toEqual(['one', 'two', 'three', 'four', 'five'])
    })

    test('gets the outcome of its first occurrence in the same batch', async () => {
      const [a, b] = strangers()
      const id = randomUUID()
      const batch = [
        pendingMessage(a, b, 'x', id),
        pendingMessage(b, a, 'between'),
        pendingMessage(a, b, 'x', id),
        pendingMessage(a, b, 'other', id),
        pendingMessage(b, a, 'x', id),
        pendingMessage(a, b, 'last'),
      ]
      await careful(...batch)
      expect(batch.map(({ fate, seq }) => [fate, seq])).toEqual([
        ['stored', 1],
        ['stored', 2],
        ['duplicate', 1],
        ['conflict', 1],
        ['conflict', 1],
        ['stored', 3],
      ])
      expect(new Set(batch.map(({ created_at }) => created_at)).size).toBe(1)
      expect(await everything(store(), a, b)).toHaveLength(3)
    })

    test('is a conflict when the text or the sender differs, and stores nothing', async () => {
      const [a, b] = strangers()
      const first = pendingMessage(a, b, 'text')
      await fast(first)
      const otherText = pendingMessage(a, b, 'Text', first.id)
      const otherSender = pendingMessage(b, a, 'text', first.id)
      await careful(otherText, otherSender)
      expect([otherText.fate, otherSender.fate]).toEqual(['conflict', 'conflict'])
      expect((await everything(store(), a, b)).map(({ content, sender_id }) => [content, sender_id])).toEqual([
        ['text', a],
      ])
      expect(await store().lastSeq(first.conversation)).toBe(1)
    })

    test('is recognised by text that COPY has to escape', async () => {
      const [a, b] = strangers()
      const text = 'tab\t back\\slash \\. \\N \r\n 😀'
      const first = pendingMessage(a, b, text)
      await fast(first)
      const again = pendingMessage(a, b, text, first.id)
      await careful(again)
      expect(outcome(again)).toEqual({ fate: 'duplicate', seq: 1, created_at: first.created_at })
    })

    test('is marked where it is the newest message, and nothing has followed in the same batch', async () => {
      const [a, b] = strangers()
      const stored = ['one', 'two'].map((content) => pendingMessage(a, b, content))
      await fast(...stored)
      const again = (): PendingMessage[] => stored.map(({ content, id }) => pendingMessage(a, b, content, id))
      const alone = again()
      await careful(...alone)
      expect(alone.map(({ isNewest }) => isNewest === true)).toEqual([false, true])
      const followed = again()
      await careful(...followed, pendingMessage(b, a, 'three'))
      expect(followed.map(({ fate, isNewest }) => [fate, isNewest === true])).toEqual([
        ['duplicate', false],
        ['duplicate', false],
      ])
    })

    test('means nothing in another conversation', async () => {
      const [a, b] = strangers()
      const [c] = strangers()
      const id = randomUUID()
      await fast(pendingMessage(a, b, 'x', id), pendingMessage(a, c, 'x', id))
      await fast(pendingMessage(b, c, 'x', id))
      expect(await everything(store(), a, b)).toHaveLength(1)
      expect(await everything(store(), a, c)).toHaveLength(1)
      expect(await everything(store(), b, c)).toHaveLength(1)
    })

    test('does not move its sender when everything was stored before', async () => {
      const [a, b] = strangers()
      const first = pendingMessage(a, b, 'x')
      await fast(first, pendingMessage(b, a, 'y'))
      const { found: before } = await store().changes(a)
      await careful(pendingMessage(a, b, 'x', first.id))
      expect((await store().changes(a)).found).toEqual(before)
    })
  })
}
