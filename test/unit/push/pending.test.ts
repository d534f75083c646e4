import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Attention } from '../../../src/delivery/audience.ts'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import type { Place, Standing, Wanted } from '../../../src/push/job.ts'
import { PendingPushes } from '../../../src/push/pending.ts'
import { queuedSend } from '../../support/builders.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

const DELAYS = { nobodyMs: 1_000, undeliveredMs: 5_000, unreadMs: 30_000 }
const UNREAD = { peer: 'ann', peerName: 'Ann', count: 1, text: 'hi', badge: 1 }
/** How late it may be: a slot of the wheel, and a look that was under way. */
const SLACK_MS = 500

/** Ann writes to Bob; a database that knows how far Bob is. */
function bench() {
  const clock = new FakeClock()
  const conversation = conversationBetween('ann', 'bob')
  const bob = { head: 0, delivered: 0, read: 0, attention: 'nobody' as Attention, isAway: false }
  const wanted: (Wanted & { readonly atMs: number })[] = []
  const read: Place[] = []
  const failures = new Set<string>()
  const health = {
    failed: (part: string) => void failures.add(part),
    works: (part: string) => void failures.delete(part),
  }
  const counts = { due: 0, collapsed: 0, looks: 0 }
  const standing = (): Standing => ({
    conversationId: 1,
    delivered: bob.delivered,
    read: bob.read,
    newest: bob.head > bob.read ? bob.head : 0,
  })
  const pending = new PendingPushes({
    subscribers: { has: (userId) => userId === 'bob' },
    store: {
      standings: async (places) => {
        counts.looks += 1
        if (bob.isAway) throw new Error('the database is away')
        return places.map(standing)
      },
      want: async (jobs) => {
        wanted.push(...jobs.map((job) => ({ ...job, atMs: clock.now() })))
        return jobs.length
      },
      read: async (places) => {
        if (bob.isAway) throw new Error('the database is away')
        read.push(...places)
      },
    },
    audience: { of: async (users) => users.map(() => bob.attention) },
    delays: DELAYS,
    clock,
    health,
    observer: { pushesDue: (n) => (counts.due += n), pushesCollapsed: (n) => (counts.collapsed += n) },
    wake: () => undefined,
  })
  const send = (from = 'ann', to = 'bob'): void => {
    bob.head += 1
    pending.message({ ...queuedSend({ from, to }), seq: bob.head })
    pending.batchDone()
  }
  const move = (delivered: number, isRead: boolean, isHere: boolean): void => {
    bob.delivered = Math.max(bob.delivered, delivered)
    if (isRead) bob.read = Math.max(bob.read, delivered)
    const position = { conversation, user: 'bob', delivered: bob.delivered, read: bob.read, movedBy: undefined }
    if (isHere) pending.position(position)
    pending.batchDone()
  }
  return { clock, bob, failures, wanted, read, counts, pending, send, move }
}

test('a burst to somebody who is away is one job after a second', async () => {
  const { clock, wanted, counts, pending, send } = bench()
  for (let count = 0; count < 5; count += 1) send()
  await clock.advance(900)
  expect(wanted).toEqual([])
  await clock.advance(600)
  expect(wanted).toMatchObject([{ userId: 'bob', until: 'delivered', standing: { newest: 5 } }])
  expect([counts.collapsed, counts.looks, pending.size, clock.pending]).toEqual([4, 1, 0, 0])
})

test('a chat whose acknowledgements lag behind asks the database nothing, until they stay away', async () => {
  const { clock, bob, wanted, counts, send, move } = bench()
  bob.attention = 'looking'
  for (let count = 0; count < 50; count += 1) {
    send()
    await clock.advance(200)
    move(bob.head - 1, false, true)
  }
  expect([counts.looks, wanted]).toEqual([0, []])
  send()
  await clock.advance(DELAYS.undeliveredMs + SLACK_MS)
  expect(wanted).toMatchObject([{ until: 'delivered', standing: { newest: 51 } }])
})

test('in one batch each message is told to whom it is for, also when somebody read in the middle of it', async () => {
  const { clock, bob, wanted, counts, pending } = bench()
  const conversation = conversationBetween('ann', 'bob')
  const write = (from: string, to: string): void => {
    bob.head += 1
    pending.message({ ...queuedSend({ from, to }), seq: bob.head })
  }
  write('ann', 'bob')
  write('ann', 'bob')
  write('bob', 'ann')
  pending.position({ conversation, user: 'bob', delivered: 3, read: 3, movedBy: undefined })
  expect(pending.size).toBe(0)
  write('ann', 'bob')
  write('ann', 'bob')
  pending.batchDone()
  await clock.advance(1_500)
  expect(wanted).toMatchObject([{ userId: 'bob', standing: { newest: 5 } }])
  expect([counts.collapsed, pending.size]).toEqual([2, 0])
})

test('nothing is kept of what nobody subscribed to, or wrote to themselves', () => {
  const { clock, pending, send } = bench()
  send('bob', 'ann')
  send('bob', 'bob')
  expect([pending.size, clock.pending]).toEqual([0, 0])
})

test.each(['looking', 'away', 'unknown'] as const)(
  'somebody %s who acknowledges nothing is told after five seconds',
  async (attention) => {
    const { clock, bob, wanted, send } = bench()
    bob.attention = attention
    send()
    await clock.advance(4_900)
    expect(wanted).toEqual([])
    await clock.advance(600)
    expect(wanted).toMatchObject([{ until: 'delivered' }])
  },
)

test('who acknowledged is told after thirty seconds where nobody looks at any client, and else never', async () => {
  for (const attention of ['away', 'nobody', 'looking'] as const) {
    const { clock, bob, wanted, counts, send, move } = bench()
    bob.attention = attention
    send()
    move(1, false, true)
    await clock.advance(29_900)
    expect([attention, wanted, counts.looks]).toEqual([attention, [], 0])
    await clock.advance(60_000)
    const told = attention === 'looking' ? [] : ['read']
    expect([attention, wanted.map(({ until }) => until)]).toEqual([attention, told])
  }
})

test('who acknowledged and may be looking elsewhere is told once nobody is', async () => {
  const { clock, bob, wanted, send, move } = bench()
  bob.attention = 'unknown'
  send()
  move(1, false, true)
  await clock.advance(300_000)
  expect(wanted).toEqual([])
  bob.attention = 'away'
  await clock.advance(DELAYS.unreadMs + SLACK_MS)
  expect(wanted).toMatchObject([{ until: 'read' }])
})

test('who acknowledges message after message and reads none is told after thirty seconds, not after the last', async () => {
  for (const everyMs of [500, 20_000]) {
    const { clock, bob, wanted, send, move } = bench()
    bob.attention = 'away'
    for (let sinceMs = 0; sinceMs < 40_000; sinceMs += everyMs) {
      send()
      await clock.advance(100)
      move(bob.head, false, true)
      await clock.advance(everyMs - 100)
    }
    expect(wanted[0]).toMatchObject({ until: 'read' })
  }
})

test('a read begins the wait for what was not read anew, wherever it came from', async () => {
  for (const isHere of [true, false]) {
    const { clock, bob, wanted, send, move } = bench()
    bob.attention = 'away'
    send()
    move(1, false, true)
    await clock.advance(20_000)
    move(1, true, isHere)
    send()
    move(2, false, isHere)
    await clock.advance(29_000)
    expect(wanted).toEqual([])
    await clock.advance(2_000)
    expect(wanted).toMatchObject([{ until: 'read', standing: { newest: 2 } }])
  }
})

test('what a receipt called a job off for is told after thirty seconds, unless it is read', async () => {
  for (const isRead of [true, false]) {
    const { clock, bob, wanted, pending, move } = bench()
    Object.assign(bob, { attention: 'away', head: 1, delivered: 1 })
    pending.received({ userId: 'bob', unread: { ...UNREAD, seq: 1 } })
    pending.received({ userId: 'bob', unread: { ...UNREAD, seq: 1 } })
    expect(pending.size).toBe(1)
    await clock.advance(29_000)
    expect(wanted).toEqual([])
    if (isRead) move(1, true, true)
    await clock.advance(2_000)
    expect(wanted.map(({ until }) => until)).toEqual(isRead ? [] : ['read'])
    expect(pending.size).toBe(0)
  }
})

test('a message is not taken for late because the one before it was acknowledged late', async () => {
  const { clock, bob, wanted, send, move } = bench()
  bob.attention = 'looking'
  send()
  await clock.advance(4_800)
  send()
  // On another instance: this one is not told.
  move(1, false, false)
  await clock.advance(4_900)
  expect(wanted).toEqual([])
  await clock.advance(600)
  expect(wanted).toMatchObject([{ standing: { newest: 2 } }])
})

test('while the database is away it is tried again', async () => {
  const { clock, bob, failures, wanted, send } = bench()
  bob.isAway = true
  send()
  await clock.advance(20_000)
  expect([...failures]).toEqual(['what is to be pushed'])
  bob.isAway = false
  await clock.advance(1_500)
  expect(failures.size).toBe(0)
  expect(wanted).toHaveLength(1)
})

test('what was read is told once a second, and only what was read to its end', async () => {
  const { clock, read, send, move } = bench()
  send()
  send()
  move(1, true, true)
  move(2, false, true)
  await clock.advance(1_500)
  // The first was the head when it was read.
  expect(read).toHaveLength(1)
  move(2, true, true)
  move(2, true, true)
  await clock.advance(1_500)
  expect(read.map(({ userId }) => userId)).toEqual(['bob', 'bob'])
})

test('what was read while the database is away is told when it is back', async () => {
  const { clock, bob, failures, read, move } = bench()
  bob.isAway = true
  move(1, true, true)
  await clock.advance(2_500)
  expect([...failures]).toEqual(['notifications of what was read'])
  bob.isAway = false
  await clock.advance(1_500)
  expect([failures.size, read.length, clock.pending]).toEqual([0, 1, 0])
})

test('what was read is told before the end, also within the second', async () => {
  const { read, pending, move } = bench()
  move(1, true, true)
  await pending.close()
  expect(read).toHaveLength(1)
})

test('numbers of another history are forgotten', async () => {
  const { clock, wanted, pending, send } = bench()
  send()
  pending.clear()
  await clock.advance(60_000)
  expect(wanted).toEqual([])
})

type Step =
  | { send: true }
  | { ack: number; here: boolean; reads: boolean }
  | { wait: number }
  | { attention: Attention }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ send: true as const }) },
  { weight: 3, arbitrary: fc.record({ ack: fc.nat(3), here: fc.boolean(), reads: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ wait: fc.integer({ min: 1, max: 8_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ attention: fc.constantFrom<Attention>('nobody', 'looking', 'away', 'unknown') }),
  },
)

test('whatever happens: nobody is told too early, and of what stays unacknowledged everybody is told in time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, bob, wanted, pending, send, move } = bench()
      /** When each message was committed, from seq 1 on. */
      const sentMs: number[] = []
      for (const one of steps) {
        if ('send' in one) {
          send()
          sentMs.push(clock.now())
        } else if ('ack' in one) move(Math.max(0, bob.head - one.ack), one.reads, one.here)
        else if ('wait' in one) await clock.advance(one.wait)
        else bob.attention = one.attention
        await settled()
      }
      for (const { atMs, until, standing } of wanted) {
        if (until === 'read') {
          expect(atMs - (sentMs[standing.read] ?? 0)).toBeGreaterThanOrEqual(DELAYS.unreadMs)
          continue
        }
        // Something was unacknowledged, for at least as long as where nobody is there.
        const first = standing.delivered + 1
        expect(standing.newest).toBeGreaterThanOrEqual(first)
        expect(atMs - (sentMs[first - 1] ?? 0)).toBeGreaterThanOrEqual(DELAYS.nobodyMs)
      }
      await clock.advance(2 * DELAYS.undeliveredMs + SLACK_MS)
      const told = Math.max(0, ...wanted.map(({ standing }) => standing.newest))
      if (bob.delivered < bob.head && bob.read < bob.head) expect(told).toBeGreaterThan(bob.delivered)
      if (bob.attention === 'unknown') bob.attention = 'looking'
      await clock.advance(60_000)
      expect(pending.size).toBe(0)
    }),
    { numRuns: 200 },
  )
})
