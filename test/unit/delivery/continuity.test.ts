import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Continuity, MAX_CONVERSATIONS, type Offer } from '../../../src/delivery/continuity.ts'
import type { KnownOfHole } from '../../../src/delivery/recipient.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

/** Longer than a message that came too early waits. */
const LONG_MS = 1000
/** By the store's clock. */
const JOINED_MS = 7

const message = (seq: number, push: (mayLackBelow: boolean) => void = () => undefined, asker?: object): Offer => {
  return { seq, asker, push }
}

function setUp() {
  const clock = new FakeClock()
  const pushed: number[] = []
  const replays: number[] = []
  const continuity = new Continuity({ clock, replay: (_user, _other, fromSeq) => replays.push(fromSeq) })
  continuity.joined('ann', JOINED_MS)
  const offer = (seq: number) =>
    continuity.offer(
      'ann',
      'bob',
      message(seq, () => pushed.push(seq)),
    )
  return { clock, continuity, pushed, replays, offer }
}

describe('messages of one conversation', () => {
  test('in order go out at once', () => {
    const { offer, pushed, clock } = setUp()
    for (const seq of [1, 2, 3]) offer(seq)
    expect(pushed).toEqual([1, 2, 3])
    expect(clock.pending).toBe(0)
  })

  test('that come twice go out once', () => {
    const { offer, pushed } = setUp()
    for (const seq of [1, 2, 1, 2, 3, 3]) offer(seq)
    expect(pushed).toEqual([1, 2, 3])
  })

  test('that come too early wait for the one before, and then go out in order without a replay', async () => {
    const { offer, pushed, replays, clock } = setUp()
    for (const seq of [1, 4, 3]) offer(seq)
    expect(pushed).toEqual([1])
    offer(2)
    expect(pushed).toEqual([1, 2, 3, 4])
    await clock.advance(LONG_MS)
    expect(replays).toEqual([])
  })

  test('that miss one for too long are replayed from it, once, and later ones go on', async () => {
    const { offer, pushed, replays, clock } = setUp()
    for (const seq of [1, 3, 4]) offer(seq)
    await clock.advance(LONG_MS)
    expect(replays).toEqual([2])
    for (const seq of [2, 3, 5]) offer(seq)
    expect(pushed).toEqual([1, 5])
    await clock.advance(LONG_MS)
    expect(replays).toEqual([2])
  })

  test('that waited are named to the replay with the connection that sent them', async () => {
    const clock = new FakeClock()
    const known: KnownOfHole[] = []
    const continuity = new Continuity({ clock, replay: (_user, _other, _fromSeq, hole) => known.push(hole) })
    continuity.joined('ann', JOINED_MS)
    const asker = {}
    continuity.offer('ann', 'bob', message(1))
    continuity.offer('ann', 'bob', message(3, undefined, asker))
    continuity.offer('ann', 'bob', message(4))
    await clock.advance(LONG_MS)
    expect(known).toEqual([
      { head: 4, pushed: expect.objectContaining({ from: 1, to: 1 }), replied: [{ seq: 3, asker }] },
    ])
    expect(known[0]?.replied?.[0]?.asker).toBe(asker)
  })

  test('that came late are named to the replay of a hole around them', () => {
    const known: KnownOfHole[] = []
    const replay = (_user: string, _other: string, _fromSeq: number, hole: KnownOfHole) => void known.push(hole)
    const continuity = new Continuity({ clock: new FakeClock(), replay })
    continuity.joined('ann', JOINED_MS)
    for (const seq of [5, 3]) continuity.offer('ann', 'bob', message(seq))
    continuity.compare('ann', 'bob', 5, 1)
    expect(known.map(({ late = [] }) => [...late])).toEqual([[3]])
  })

  test('are nobody’s business once the user has left, and nothing is replayed then', async () => {
    const { offer, pushed, replays, clock, continuity } = setUp()
    for (const seq of [1, 3]) offer(seq)
    continuity.left('ann')
    expect(clock.pending).toBe(0)
    offer(2)
    await clock.advance(LONG_MS)
    expect(pushed).toEqual([1])
    expect(replays).toEqual([])
    expect(continuity.compare('ann', 'bob', 9, 1)).toBe(false)
  })

  test('of other conversations and other users are counted apart', () => {
    const { continuity, pushed } = setUp()
    continuity.joined('cid', JOINED_MS)
    continuity.offer(
      'ann',
      'bob',
      message(1, () => pushed.push(1)),
    )
    continuity.offer(
      'ann',
      'cid',
      message(8, () => pushed.push(8)),
    )
    continuity.offer(
      'cid',
      'ann',
      message(8, () => pushed.push(80)),
    )
    continuity.offer(
      'nobody',
      'ann',
      message(1, () => pushed.push(-1)),
    )
    expect(pushed).toEqual([1, 8, 80])
  })
})

describe('the first message since the user came', () => {
  test('goes out at once, and so does one below it that comes late over another way', async () => {
    const { offer, pushed, replays, clock } = setUp()
    for (const seq of [12, 11, 13, 10, 11, 12]) offer(seq)
    await clock.advance(LONG_MS)
    expect([...pushed].sort()).toEqual([10, 11, 12, 13])
    expect(replays).toEqual([])
  })

  test.each([
    [undefined, 1, false],
    [undefined, 2, true],
    [4, 5, false],
    [4, 6, true],
  ])('is unsure where something may be below it: %s acknowledged, %s comes', (acknowledged, seq, isUnsure) => {
    const { continuity, clock } = setUp()
    const told: boolean[] = []
    if (acknowledged !== undefined) continuity.hadAcknowledged('ann', 'bob', acknowledged)
    for (const each of [seq, seq + 2, seq + 1])
      continuity.offer(
        'ann',
        'bob',
        message(each, (unsure) => told.push(unsure)),
      )
    expect(told).toEqual([isUnsure, false, false])
    expect(clock.pending).toBe(0)
  })

  test('hides no loss below it from a comparison', () => {
    const { offer, replays, continuity } = setUp()
    offer(12)
    expect(continuity.compare('ann', 'bob', 12, 11)).toBe(true)
    expect(replays).toEqual([11])
    expect(continuity.compare('ann', 'bob', 12, 11)).toBe(false)
  })

  test('leaves nothing to compare when what came late filled the hole', () => {
    const { offer, replays, continuity } = setUp()
    for (const seq of [13, 11, 12]) offer(seq)
    expect(continuity.compare('ann', 'bob', 13, 11)).toBe(false)
    expect(replays).toEqual([])
  })
})

test('a message that came late from below goes out once, also when a hole above it was given up meanwhile', async () => {
  const { offer, pushed, clock } = setUp()
  for (const seq of [13, 10, 15]) offer(seq)
  await clock.advance(LONG_MS)
  offer(10)
  expect(pushed).toEqual([13, 10])
})

describe('a comparison with the store', () => {
  test('replays what was never pushed from the first that is not acknowledged', () => {
    const { replays, continuity, offer, pushed } = setUp()
    expect(continuity.compare('ann', 'bob', 5, 3)).toBe(true)
    expect(replays).toEqual([3])
    for (const seq of [4, 5, 6]) offer(seq)
    expect(pushed).toEqual([6])
  })

  test('finds nothing when everything was pushed, or acknowledged', () => {
    const { replays, continuity, offer } = setUp()
    expect(continuity.compare('ann', 'bob', 5, 6)).toBe(false)
    offer(6)
    expect(continuity.compare('ann', 'bob', 6, 6)).toBe(false)
    expect(replays).toEqual([])
  })

  test('ends the wait of what came too early', async () => {
    const { replays, continuity, offer, pushed, clock } = setUp()
    for (const seq of [1, 3]) offer(seq)
    expect(continuity.compare('ann', 'bob', 4, 1)).toBe(true)
    expect(replays).toEqual([2])
    expect(clock.pending).toBe(0)
    await clock.advance(LONG_MS)
    offer(5)
    expect(pushed).toEqual([1, 5])
    expect(replays).toEqual([2])
  })

  test('that read an older head leaves what waits alone', async () => {
    const { replays, continuity, offer, pushed } = setUp()
    for (const seq of [1, 3]) offer(seq)
    expect(continuity.compare('ann', 'bob', 1, 1)).toBe(false)
    offer(2)
    expect(pushed).toEqual([1, 2, 3])
    expect(replays).toEqual([])
  })
})

/**
 * Messages 1 … head are committed in order; each reaches the instance at most a few steps later, perhaps never, perhaps twice.
 * A replay brings everything from its seq to what is committed then, as the connection does.
 */
test('whatever is lost, repeated or reordered, pushes come in order without repeat and every hole is replayed', async () => {
  const arrival = fc.record({ delay: fc.integer({ min: 0, max: 4 }), copies: fc.integer({ min: 0, max: 2 }) })
  const pause = fc.constantFrom(0, 0, 0, 50, 300)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(arrival, pause), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 0, max: 20 }),
      async (messages, acknowledged) => {
        const clock = new FakeClock()
        const pushed: number[] = []
        const have = new Set<number>()
        let head = acknowledged
        const continuity = new Continuity({
          clock,
          replay: (_user, _other, fromSeq) => {
            for (let seq = fromSeq; seq <= head; seq += 1) have.add(seq)
          },
        })
        continuity.joined('ann', JOINED_MS)
        const inFlight: { atStep: number; seq: number }[] = []
        const arrive = (step: number) => {
          for (const { seq } of inFlight.filter(({ atStep }) => atStep === step)) {
            const push = () => {
              pushed.push(seq)
              have.add(seq)
            }
            continuity.offer('ann', 'bob', message(seq, push))
          }
        }
        for (const [step, [{ delay, copies }, pauseMs]] of messages.entries()) {
          head += 1
          for (let copy = 0; copy < copies; copy += 1) inFlight.push({ atStep: step + delay * (copy + 1), seq: head })
          arrive(step)
          await clock.advance(pauseMs)
        }
        for (let step = messages.length; step < messages.length + 10; step += 1) arrive(step)
        await clock.advance(LONG_MS)
        continuity.compare('ann', 'bob', head, acknowledged + 1)
        expect(new Set(pushed).size).toBe(pushed.length)
        const first = pushed[0] ?? 0
        const inOrder = pushed.filter((seq) => seq >= first)
        expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b))
        const all = Array.from({ length: messages.length }, (_, index) => acknowledged + 1 + index)
        expect([...have].sort((a, b) => a - b).filter((seq) => seq > acknowledged)).toEqual(all)
      },
    ),
    { numRuns: 500 },
  )
  await settled()
})

describe('what came before the first push', () => {
  test('is not known until a look at the store has covered it', () => {
    const { continuity, offer } = setUp()
    expect(continuity.unsure('ann', 'bob')?.sinceMs).toBe(JOINED_MS)
    offer(5)
    expect(continuity.unsure('ann', 'bob')?.sinceMs).toBe(JOINED_MS)
    continuity.compare('ann', 'bob', 5, 6)
    expect(continuity.unsure('ann', 'bob')?.sinceMs).toBe(JOINED_MS)
    continuity.compared('ann', 'bob', 5)
    expect(continuity.unsure('ann', 'bob')).toBeUndefined()
    continuity.left('ann')
    continuity.joined('ann', JOINED_MS + 1)
    expect(continuity.unsure('ann', 'bob')?.sinceMs).toBe(JOINED_MS + 1)
  })

  test('stays unknown when the look was from before that push', () => {
    const { continuity, offer } = setUp()
    offer(5)
    continuity.compare('ann', 'bob', 2, 3)
    continuity.compared('ann', 'bob', 2)
    expect(continuity.unsure('ann', 'bob')).toBeDefined()
  })

  test('is known from the start where the user is known to have acknowledged something', () => {
    const { continuity } = setUp()
    continuity.hadAcknowledged('ann', 'bob', 7)
    expect(continuity.unsure('ann', 'bob')).toMatchObject({ acknowledgedSeq: 7 })
    continuity.left('ann')
    continuity.hadAcknowledged('ann', 'bob', 8)
    continuity.joined('ann', JOINED_MS)
    expect(continuity.unsure('ann', 'bob')).toMatchObject({ acknowledgedSeq: undefined })
  })

  test('is replayed together with what is known to have been pushed', () => {
    const known: unknown[] = []
    const continuity = new Continuity({ clock: new FakeClock(), replay: (...hole) => known.push(hole) })
    continuity.joined('ann', JOINED_MS)
    for (const seq of [5, 6])
      continuity.offer(
        'ann',
        'bob',
        message(seq, () => undefined),
      )
    continuity.compare('ann', 'bob', 6, 3)
    continuity.compare('ann', 'cid', 4, 4)
    expect(known).toMatchObject([
      ['ann', 'bob', 3, { head: 6, pushed: { from: 5, to: 6 } }],
      ['ann', 'cid', 4, { head: 4, pushed: undefined }],
    ])
  })
})

describe('a user with very many conversations', () => {
  const partners = Array.from({ length: 20_000 }, (_, index) => `${index}.36-characters-as-ids-mostly-have`)

  function withAll() {
    const bench = setUp()
    const { continuity } = bench
    const told: string[] = []
    const offer = (peer: string, seq: number) =>
      continuity.offer(
        'ann',
        peer,
        message(seq, () => told.push(`${peer} ${seq}`)),
      )
    const known = () => partners.filter((peer) => continuity.unsure('ann', peer) === undefined)
    for (const peer of partners) {
      continuity.hadAcknowledged('ann', peer, 4)
      offer(peer, 5)
      continuity.compared('ann', peer, 5)
    }
    return { ...bench, told, offer, known }
  }

  test('is remembered by those that were pushed last', () => {
    const { known, offer } = withAll()
    expect(known()).toEqual(partners.slice(-MAX_CONVERSATIONS))
    const [first = '', second = ''] = known()
    offer(first, 6)
    offer('new', 1)
    expect(known()).toContain(first)
    expect(known()).not.toContain(second)
  })

  test('gets what follows in one that was forgotten, once, and nothing of it anew', () => {
    const { told, offer, continuity, replays } = withAll()
    const [old = ''] = partners
    told.length = 0
    for (const seq of [6, 7, 6]) offer(old, seq)
    expect(told).toEqual([`${old} 6`, `${old} 7`])
    // The look finds by the time that 6 is the first since the last one.
    expect(continuity.unsure('ann', old)).toMatchObject({ acknowledgedSeq: undefined })
    expect(continuity.compare('ann', old, 7, 6)).toBe(false)
    expect(replays).toEqual([])
  })

  test('keeps those of which something is missing, or may be', () => {
    const { continuity, offer, told, clock } = setUpWithTold()
    for (const peer of ['unsure', 'waiting']) offer(peer, 5)
    continuity.compared('ann', 'waiting', 5)
    offer('waiting', 7)
    for (const peer of partners) {
      offer(peer, 1)
      continuity.compared('ann', peer, 1)
    }
    expect(clock.pending).toBe(1)
    offer('waiting', 6)
    offer('unsure', 5)
    expect(told.slice(-2)).toEqual(['waiting 6', 'waiting 7'])
  })

  function setUpWithTold() {
    const bench = setUp()
    const told: string[] = []
    const offer = (peer: string, seq: number) =>
      bench.continuity.offer(
        'ann',
        peer,
        message(seq, () => told.push(`${peer} ${seq}`)),
      )
    return { ...bench, told, offer }
  }
})

test('what was known is forgotten when the numbers of the store are others: they are pushed again, and nothing waits', async () => {
  const { continuity, offer, pushed, clock } = setUp()
  continuity.hadAcknowledged('ann', 'cid', 3)
  for (const seq of [1, 2, 4]) offer(seq)
  continuity.forget()
  expect(clock.pending).toBe(0)
  offer(2)
  expect(pushed).toEqual([1, 2, 2])
  expect(continuity.unsure('ann', 'bob')).toEqual({ sinceMs: JOINED_MS, acknowledgedSeq: undefined })
  expect(continuity.unsure('ann', 'cid')).toEqual({ sinceMs: JOINED_MS, acknowledgedSeq: undefined })
})
