import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { InvalidCursor, type MessageStore, type PageRequest, type RecentHead } from '../../src/messages/store.ts'
import type { ConversationSummary } from '../../src/protocol/message.ts'
import { pendingMessage, positionChange, strangers } from '../support/builders.ts'

const HEAD = 12
const LONG_AGO = { sinceMs: 0 }

export function describeReads(store: () => MessageStore): void {
  const write = async (count: number, from: string, to: string) => {
    await store().commit(
      Array.from({ length: count }, () => pendingMessage(from, to)),
      [],
      'fast',
    )
  }

  /** By the store's clock, a time after everything so far and before everything to come. */
  const later = async (): Promise<number> => {
    const { asOfMs: before } = await store().recentHeads([], 0)
    for (;;) {
      const { asOfMs } = await store().recentHeads([], 0)
      if (asOfMs > before) return asOfMs
    }
  }

  describe('pages', () => {
    const [a, b] = strangers()
    beforeAll(() => write(HEAD, a, b))
    const page = async (request: PageRequest) => {
      const { messages, hasMore } = await store().page(conversationBetween(a, b), request)
      return [messages.map(({ seq }) => seq), hasMore]
    }

    test.each<[PageRequest, number[], boolean]>([
      [{ limit: 3 }, [10, 11, 12], true],
      [{ limit: 11 }, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], true],
      [{ limit: 12 }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], false],
      [{ limit: 13 }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], false],
      [{ before: 4, limit: 2 }, [2, 3], true],
      [{ before: 4, limit: 3 }, [1, 2, 3], false],
      [{ before: 13, limit: 1 }, [12], true],
      [{ before: 99, limit: 1 }, [12], true],
      [{ before: 1, limit: 5 }, [], false],
      [{ before: 0, limit: 5 }, [], false],
      [{ before: Number.MAX_SAFE_INTEGER, limit: 1 }, [12], true],
      [{ after: 0, limit: 2 }, [1, 2], true],
      [{ after: 10, limit: 1 }, [11], true],
      [{ after: 10, limit: 2 }, [11, 12], false],
      [{ after: 11, limit: 2 }, [12], false],
      [{ after: 12, limit: 2 }, [], false],
      [{ after: 99, limit: 2 }, [], false],
      [{ after: Number.MAX_SAFE_INTEGER, limit: 2 }, [], false],
      [{ after: 3, before: 7, limit: 2 }, [4, 5], true],
      [{ after: 3, before: 7, limit: 3 }, [4, 5, 6], false],
      [{ after: 3, before: 4, limit: 3 }, [], false],
      [{ after: 7, before: 3, limit: 3 }, [], false],
      [{ after: 0, before: 0, limit: 3 }, [], false],
    ])('of %j hold %j and more: %s', async (request, seqs, hasMore) => {
      expect(await page(request)).toEqual([seqs, hasMore])
    })

    test('joined in either direction are the whole conversation', async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: HEAD + 1 }), fc.boolean(), async (limit, forward) => {
          const seqs: number[] = []
          for (let more = true; more; ) {
            const at = forward ? { after: seqs.at(-1) ?? 0 } : { before: seqs[0] }
            const { messages, hasMore } = await store().page(conversationBetween(a, b), { ...at, limit })
            seqs.splice(forward ? seqs.length : 0, 0, ...messages.map(({ seq }) => seq))
            more = hasMore
          }
          expect(seqs).toEqual(Array.from({ length: HEAD }, (_, index) => index + 1))
        }),
        { numRuns: 30 },
      )
    })

    test.each(['forward', 'backward'])(
      'of large texts end after 2 MB, %s, and joined they are all',
      async (direction) => {
        const [c, d] = strangers()
        const large = Array.from({ length: 300 }, () => pendingMessage(c, d, 'é'.repeat(8000)))
        await store().commit(large, [], 'fast')
        const sizes: number[] = []
        const seqs: number[] = []
        for (let more = true; more; ) {
          const at = direction === 'forward' ? { after: seqs.at(-1) ?? 0 } : { before: seqs[0] }
          const { messages, hasMore } = await store().page(conversationBetween(c, d), { ...at, limit: 500 })
          sizes.push(messages.length)
          seqs.splice(direction === 'forward' ? seqs.length : 0, 0, ...messages.map(({ seq }) => seq))
          more = hasMore
        }
        expect(sizes).toEqual([131, 131, 38])
        expect(seqs).toEqual(large.map((_message, index) => index + 1))
      },
    )

    test('are the same seen from either person', async () => {
      const request = { limit: 5 }
      expect(await store().page(conversationBetween(b, a), request)).toEqual(
        await store().page(conversationBetween(a, b), request),
      )
    })

    test('of strangers are empty', async () => {
      const [c, d] = strangers()
      expect(await store().page(conversationBetween(c, d), { limit: 5 })).toEqual({ messages: [], hasMore: false })
      expect(await store().page(conversationBetween(c, d), { after: 0, limit: 5 })).toEqual({
        messages: [],
        hasMore: false,
      })
      expect(await store().lastSeq(conversationBetween(c, d))).toBe(0)
    })

    test('hold what was committed just before', async () => {
      const [c, d] = strangers()
      for (let seq = 1; seq <= 20; seq += 1) {
        await write(1, c, d)
        const { messages } = await store().page(conversationBetween(c, d), { limit: 1 })
        expect(messages[0]?.seq).toBe(seq)
        expect(await store().lastSeq(conversationBetween(c, d))).toBe(seq)
      }
    })
  })

  describe('the list of conversations', () => {
    const listed = async (user: string, limit: number): Promise<ConversationSummary[]> => {
      const all: ConversationSummary[] = []
      let cursor: string | undefined
      do {
        const { conversations, nextCursor } = await store().conversations(user, limit, cursor)
        expect(conversations.length).toBeLessThanOrEqual(limit)
        if (nextCursor !== null) expect(conversations).toHaveLength(limit)
        all.push(...conversations)
        cursor = nextCursor ?? undefined
      } while (cursor !== undefined)
      return all
    }

    test('pages without repeats and without holes, newest first, whatever the page and however equal the times', async () => {
      const [me] = strangers()
      const others = Array.from({ length: 14 }, () => strangers()[1])
      // Ten conversations in one batch share one time; the rest have their own.
      await store().commit(
        others.slice(0, 10).map((other) => pendingMessage(me, other)),
        [],
        'fast',
      )
      for (const other of others.slice(10)) await write(1, other, me)
      for (const limit of [1, 2, 3, 7, 13, 14, 15]) {
        const conversations = await listed(me, limit)
        expect(conversations.map((one) => one.with).sort()).toEqual([...others].sort())
        const times = conversations.map((one) => one.last_message?.created_at ?? '')
        expect(times).toEqual([...times].sort().reverse())
      }
    })

    test('shows the last message, the positions and what is unread from each side', async () => {
      const [a, b] = strangers()
      await store().commit(
        [pendingMessage(a, b, 'one'), pendingMessage(a, b, 'two'), pendingMessage(b, a, 'three')],
        [],
        'fast',
      )
      await store().commit([], [positionChange(b, a, { delivered: 2, read: 1 })], 'fast')
      const last = { sender_id: b, receiver_id: a, content: 'three', seq: 3 }
      expect(await listed(a, 10)).toMatchObject([
        {
          with: b,
          last_seq: 3,
          last_message: last,
          delivered_seq: 2,
          read_seq: 2,
          peer_delivered_seq: 2,
          peer_read_seq: 1,
          unread: 1,
        },
      ])
      expect(await listed(b, 10)).toMatchObject([
        {
          with: a,
          last_seq: 3,
          last_message: last,
          delivered_seq: 2,
          read_seq: 1,
          peer_delivered_seq: 2,
          peer_read_seq: 2,
          unread: 1,
        },
      ])
    })

    test('counts unread messages of the other person only, up to 100', async () => {
      const [a, b] = strangers()
      const unread = async (user: string) => (await listed(user, 10)).map((one) => one.unread)
      await write(99, a, b)
      expect(await unread(b)).toEqual([99])
      await write(1, a, b)
      expect(await unread(b)).toEqual([100])
      await write(30, a, b)
      expect(await unread(b)).toEqual([100])
      expect(await unread(a)).toEqual([0])
      await store().commit([pendingMessage(b, a)], [positionChange(b, a, { delivered: 130, read: 100 })], 'fast')
      expect(await unread(b)).toEqual([30])
      expect(await unread(a)).toEqual([1])
    })

    test("looks for unread messages among the last thousand, however many of those are one's own", async () => {
      const [a, b] = strangers()
      const unread = async (user: string) => (await listed(user, 10)).map((one) => one.unread)
      await write(5, a, b)
      await write(150, b, a)
      expect(await unread(b)).toEqual([5])
      await write(847, b, a)
      expect(await unread(b)).toEqual([3])
      expect(await unread(a)).toEqual([100])
    })

    test('has a conversation with oneself once', async () => {
      const [a] = strangers()
      await write(2, a, a)
      expect(await listed(a, 10)).toMatchObject([{ with: a, last_seq: 2, unread: 0 }])
    })

    test('leaves out conversations without a message', async () => {
      const [a, b] = strangers()
      await store().commit([], [positionChange(a, b, { delivered: 1 })], 'fast')
      expect(await listed(a, 10)).toEqual([])
      expect((await store().changes(a)).found).toEqual([])
      expect((await store().backlog(a)).found).toEqual([])
    })

    test.each(['nonsense', 'MTIz', 'MS4', '-1', '1e9', '0.0', ' ', 'x'.repeat(512), "'; drop table messages; --"])(
      'refuses the cursor %j, which no page ended with',
      async (cursor) => {
        const [a, b] = strangers()
        await write(1, a, b)
        await expect(store().conversations(a, 10, cursor)).rejects.toThrow(InvalidCursor)
      },
    )
  })

  test('what changes, recent heads and the backlog say of their time lies between what was committed before and after', async () => {
    const [me, peer] = strangers()
    const createdMs = async (): Promise<number> => {
      await write(1, peer, me)
      const { messages } = await store().page(conversationBetween(me, peer), { limit: 1 })
      return Date.parse(messages[0]?.created_at ?? '')
    }
    for (const read of [
      () => store().changes(me, 0),
      () => store().changes('nobody', 0),
      () => store().backlog(me),
      () => store().backlog('nobody'),
      () => store().recentHeads([me, peer], 0),
      () => store().recentHeads([], 0),
    ]) {
      const beforeMs = await createdMs()
      const { asOfMs } = await read()
      expect(asOfMs).toBeGreaterThanOrEqual(beforeMs)
      expect(await createdMs()).toBeGreaterThanOrEqual(asOfMs)
    }
  })

  test('changes name what changed at or after a time: messages and positions, of either person', async () => {
    const [me, peer] = strangers()
    const [quiet] = strangers()
    await write(1, me, peer)
    await write(1, quiet, me)
    expect((await store().changes(me)).found.map((one) => one.with).sort()).toEqual([peer, quiet].sort())
    const since = await later()
    expect((await store().changes(me, since)).found).toEqual([])
    await store().commit([], [positionChange(peer, me, { delivered: 1 })], 'fast')
    expect((await store().changes(me, since)).found).toEqual([
      { with: peer, last_seq: 1, delivered_seq: 1, read_seq: 1, peer_delivered_seq: 1, peer_read_seq: 0 },
    ])
    expect((await store().changes(me, 0)).found).toHaveLength(2)
  })

  test('the backlog names every conversation with something unacknowledged, and no other', async () => {
    const [me, first] = strangers()
    const [second, third] = strangers()
    await write(3, first, me)
    await write(2, second, me)
    await write(4, me, third)
    expect(sorted((await store().backlog(me)).found)).toEqual(
      sorted([
        { with: first, deliveredSeq: 0, lastSeq: 3 },
        { with: second, deliveredSeq: 0, lastSeq: 2 },
      ]),
    )
    await store().commit(
      [],
      [positionChange(me, first, { delivered: 2 }), positionChange(me, second, { delivered: 2 })],
      'fast',
    )
    expect((await store().backlog(me)).found).toEqual([{ with: first, deliveredSeq: 2, lastSeq: 3 }])
  })

  test('recent heads name the changed conversations of each of the users, with how far each is', async () => {
    const [me, peer] = strangers()
    const [other] = strangers()
    await write(3, peer, me)
    await write(1, me, other)
    await store().commit([], [positionChange(me, peer, { delivered: 2, read: 1 })], 'fast')
    const { found: heads } = await store().recentHeads([me, 'NULL', peer], 0)
    const mine = heads.filter(({ user }) => user === me || user === peer)
    const positions = (one: RecentHead) =>
      `${one.deliveredSeq} ${one.readSeq}, peer ${one.peerDeliveredSeq} ${one.peerReadSeq}, of ${one.lastSeq}`
    expect(mine.map((one) => `${one.user} ${one.with}: ${positions(one)}`).sort()).toEqual(
      [
        `${me} ${peer}: 2 1, peer 3 3, of 3`,
        `${me} ${other}: 1 1, peer 0 0, of 1`,
        `${peer} ${me}: 3 3, peer 2 1, of 3`,
      ].sort(),
    )
    expect((await store().recentHeads([me], await later())).found).toEqual([])
    expect((await store().recentHeads([], 0)).found).toEqual([])
  })

  test('the first message of a time is found, 1,000 back at most', async () => {
    const [me, peer] = strangers()
    const [quiet, long] = strangers()
    const [nobody] = strangers()
    await write(3, peer, me)
    await write(1010, long, me)
    const now = { sinceMs: await later() }
    const of = (other: string) => conversationBetween(me, other)
    expect(
      await store().firstSince([
        { conversation: of(peer), ...LONG_AGO },
        { conversation: of(long), ...LONG_AGO },
        { conversation: of(peer), ...now },
        { conversation: of(quiet), ...LONG_AGO },
        { conversation: of(nobody), ...now },
        { conversation: of(long), ...now },
      ]),
    ).toEqual([1, 11, 4, 1, 1, 1011])
    expect(await store().firstSince([])).toEqual([])
  })

  test('can be asked whether it can store', async () => {
    await expect(store().check()).resolves.toBeUndefined()
  })
}

function sorted<T extends { with: string }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => (a.with < b.with ? -1 : 1))
}
