import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Connection,
  type ConnectionEvent,
  dueAt,
  type Effect,
  INITIAL,
  isWelcomed,
  step,
} from '../../../src/client/connection.ts'
import { CLOSES } from '../../../src/protocol/codes.ts'

type Kind = ConnectionEvent['type']
const codes = [1000, 1001, 1005, 1006, 1015, 3000, 4400, 4444, ...Object.values(CLOSES).map(({ code }) => code)]

interface Act {
  readonly kind: Kind
  readonly is: boolean
  readonly code: number
  readonly ms: number
  /** How many sockets ago the event's one was opened. */
  readonly stale: number
  readonly random: number
}
const kinds: readonly Kind[] = [
  ...['start', 'tick', 'wake', 'hide', 'expiring', 'stop', 'visible', 'online', 'dialed', 'opened', 'synced'],
  ...['frame', 'welcome', 'closed', 'token_failed', 'probed', 'draining', 'refreshed', 'tick', 'tick', 'closed'],
] as Kind[]
const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom(...kinds),
  is: fc.boolean(),
  code: fc.constantFrom(...codes),
  ms: fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 200_000 })),
  stale: fc.constantFrom(0, 0, 0, 0, 1, 3),
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
})

function eventOf({ kind, is, code, ms, stale }: Act, state: Connection): ConnectionEvent {
  const generation = state.generation - stale
  const all = {
    ...{ type: kind, generation, is, isFatal: is, code, why: 'closed', afterMs: ms },
    ...{ heartbeatMs: 1000 + ms, expiresInMs: is ? ms : undefined, status: is ? 401 : 503, retryAfterMs: ms },
  }
  return all as unknown as ConnectionEvent
}

test('has at most one socket, and always either a timer, a live connection or a reason to stay away', () => {
  fc.assert(
    fc.property(fc.array(act, { minLength: 1, maxLength: 100 }), (acts) => {
      let state = INITIAL
      let now = 0
      // The generation of the socket that is open or being opened, as the caller of the reducer sees it.
      let socket: number | undefined
      for (const one of acts) {
        now += one.ms
        const event = eventOf(one, state)
        const before = state
        const [next, effects] = step(state, event, { now, random: one.random })
        state = next
        if (event.type === 'closed' && event.generation === before.generation) socket = undefined
        if (event.type === 'token_failed' && event.generation === before.generation) socket = undefined
        // Whoever carries it out leaves the socket of an older generation.
        if (next.generation !== before.generation) socket = undefined
        for (const effect of effects) {
          if (effect.type !== 'open') continue
          expect(socket).toBeUndefined()
          socket = state.generation
        }
        const holds = !['idle', 'waiting', 'stopped'].includes(state.phase)
        expect(holds).toBe(socket !== undefined)
        if (holds) expect(socket).toBe(state.generation)
        if (state.phase === 'stopped') expect(state.why).toBeDefined()
        else if (state.phase !== 'idle' && !(isWelcomed(state) && !state.isVisible))
          expect(dueAt(state)).toBeLessThan(Number.POSITIVE_INFINITY)
      }
    }),
    { seed: 19_041, numRuns: 400 },
  )
})

test('changes nothing when an older socket speaks', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), fc.constantFrom(...codes), (acts, code) => {
      let state = INITIAL
      for (const one of acts) [state] = step(state, eventOf(one, state), { now: 0, random: one.random })
      const stale = { type: 'closed', generation: state.generation - 1, code } as const
      expect(step(state, stale, { now: 5, random: 0 })).toEqual([state, []])
    }),
    { seed: 19_042, numRuns: 300 },
  )
})

/** Takes a state through events, half way through all randomness. */
function run(events: readonly ConnectionEvent[], from: Connection, now = 0): { state: Connection; effects: Effect[] } {
  let state = from
  let effects: readonly Effect[] = []
  for (const event of events) [state, effects] = step(state, event, { now, random: 0.5 })
  return { state, effects: [...effects] }
}
const live = (extra: readonly ConnectionEvent[] = []): Connection => {
  const generation = 1
  const connecting = run([{ type: 'start' }], INITIAL).state
  expect(connecting.generation).toBe(generation)
  const events: ConnectionEvent[] = [
    { type: 'dialed', generation },
    { type: 'opened', generation },
    { type: 'welcome', generation, heartbeatMs: 32_000 },
    { type: 'synced', generation },
  ]
  return run([...events, ...extra], connecting).state
}

describe('close codes', () => {
  test.each(Object.values(CLOSES))('after $code ($reason) it comes back or says why not', ({ code, reconnect }) => {
    const { state, effects } = run([{ type: 'closed', generation: 1, code }], live())
    if (code === 4403) expect(state).toMatchObject({ phase: 'stopped', why: 'forbidden' })
    else if (code === 4409) expect(state).toMatchObject({ phase: 'stopped', why: 'replaced' })
    else if (state.phase === 'waiting') expect(state.until).toBeLessThanOrEqual(12_000)
    else expect(effects).toEqual([{ type: 'open', reason: 'connect' }])
    // The frame that a code blames is set aside by the outbox; the connection itself goes on.
    if (reconnect) expect(state.phase).not.toBe('stopped')
  })

  test.each([
    [1011, 2000],
    [1013, 2000],
    [4429, 10_000],
  ])('after %i it waits at least %i ms', (code, floor) => {
    const { state } = run([{ type: 'closed', generation: 1, code }], live())
    expect(state.until).toBeGreaterThanOrEqual(floor)
  })

  test('comes back after a restart when the server said it may, spread by a fifth', () => {
    const drained = live([{ type: 'draining', afterMs: 10_000 }])
    const { state } = run([{ type: 'closed', generation: 1, code: 1012 }], drained)
    expect(state.until).toBe(11_000)
  })

  test('stops after the third close in five minutes that blames what it sent', () => {
    let state = live()
    for (const expected of ['waiting', 'waiting', 'stopped']) {
      state = step(state, { type: 'closed', generation: state.generation, code: 1009 }, { now: 0, random: 0 })[0]
      expect(state.phase).toBe(expected)
      state = step(state, { type: 'tick' }, { now: 0, random: 0 })[0]
    }
  })

  test('asks for another token once, and stops when that one is refused as well', () => {
    const connecting = run([{ type: 'start' }], INITIAL).state
    const first = run([{ type: 'closed', generation: 1, code: 4401 }], connecting)
    expect(first.effects).toEqual([{ type: 'open', reason: 'refused' }])
    const second = run([{ type: 'closed', generation: first.state.generation, code: 4401 }], first.state)
    expect(second.state).toMatchObject({ phase: 'stopped', why: 'unauthorized' })
  })

  test('comes back with a new token when the old one ended on a live connection', () => {
    const { state } = run([{ type: 'closed', generation: 1, code: 4401 }], live())
    expect(state).toMatchObject({ phase: 'waiting', until: 1500 })
  })
})

describe('a dead link', () => {
  test('is noticed after a heartbeat of silence and five seconds without a pong', () => {
    const [stable] = step(live(), { type: 'tick' }, { now: 10_000, random: 0 })
    const silent = step(stable, { type: 'tick' }, { now: 32_000, random: 0 })
    expect(silent[1]).toEqual([{ type: 'ping' }])
    expect(dueAt(silent[0])).toBe(37_000)
    const [dead, effects] = step(silent[0], { type: 'tick' }, { now: 37_000, random: 0 })
    expect([dead.phase, effects]).toEqual(['waiting', []])
  })

  test('is noticed 2.5 s after the machine woke, by a sign of the browser or by a timer that came late', () => {
    for (const event of [{ type: 'wake' }, { type: 'tick' }, { type: 'visible', is: true }] as const) {
      const [woken, effects] = step(live(), event, { now: 500_000, random: 0 })
      expect(effects).toEqual([{ type: 'ping' }])
      expect(woken.pongBy).toBe(502_500)
      expect(step(woken, { type: 'tick' }, { now: 502_500, random: 0 })[0].phase).toBe('waiting')
    }
  })

  test('is not suspected while the tab is hidden', () => {
    const [hidden] = step(live(), { type: 'visible', is: false }, { now: 1, random: 0 })
    const [stable] = step(hidden, { type: 'tick' }, { now: 10_000, random: 0 })
    expect(dueAt(stable)).toBe(Number.POSITIVE_INFINITY)
  })

  test('is not assumed when the ping is answered in time', () => {
    const [asked] = step(live(), { type: 'wake' }, { now: 32_000, random: 0 })
    const [heard] = step(asked, { type: 'frame', generation: 1, isAnswer: true }, { now: 34_000, random: 0 })
    expect([heard.phase, heard.pongBy]).toEqual(['live', undefined])
  })

  test('is not assumed while frames come, and is when they end without an answer: they may have been on their way', () => {
    let [state] = step(live(), { type: 'online', is: false }, { now: 32_000, random: 0 })
    for (let now = 34_000; now <= 60_000; now += 2000) {
      ;[state] = step(state, { type: 'tick' }, { now, random: 0 })
      ;[state] = step(state, { type: 'frame', generation: 1, isAnswer: false }, { now, random: 0 })
    }
    expect([state.phase, dueAt(state)]).toEqual(['live', 62_500])
    expect(step(state, { type: 'tick' }, { now: 62_500, random: 0 })[0].phase).toBe('waiting')
  })

  test('is looked for every few seconds while the browser believes that there is no network', () => {
    const [stable] = step(live(), { type: 'tick' }, { now: 10_000, random: 0 })
    const [asked] = step(stable, { type: 'online', is: false }, { now: 11_000, random: 0 })
    const [heard] = step(asked, { type: 'frame', generation: 1, isAnswer: true }, { now: 12_000, random: 0 })
    expect(dueAt(heard)).toBe(17_000)
    expect(dueAt(step(heard, { type: 'online', is: true }, { now: 13_000, random: 0 })[0])).toBe(15_500)
  })
})

test('does not start counting anew for a server that accepts and closes at once', () => {
  let state = live()
  const waits: number[] = []
  for (let turn = 0; turn < 5; turn += 1) {
    state = step(state, { type: 'closed', generation: state.generation, code: 1006 }, { now: 0, random: 0.999 })[0]
    waits.push(Math.round((state.until ?? 0) / 1000))
    state = step(state, { type: 'tick' }, { now: state.until ?? 0, random: 0 })[0]
    const { generation } = state
    state = run(
      [
        { type: 'welcome', generation },
        { type: 'synced', generation },
      ],
      state,
    ).state
  }
  expect(waits).toEqual([1, 2, 4, 8, 12])
})

test('brings a thousand clients back spread out, after the server was away for a minute', () => {
  let seed = 7
  const random = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return seed / 2 ** 31
  }
  const awayUntil = 60_000
  const back: number[] = []
  for (let client = 0; client < 1000; client += 1) {
    let state = live()
    let now = 0
    state = step(state, { type: 'closed', generation: state.generation, code: 1006 }, { now, random: random() })[0]
    while (now < awayUntil) {
      now = state.until ?? 0
      state = step(state, { type: 'tick' }, { now, random: random() })[0]
      if (now < awayUntil)
        state = step(state, { type: 'closed', generation: state.generation, code: 1006 }, { now, random: random() })[0]
    }
    back.push(now)
  }
  const bins = new Map<number, number>()
  for (const at of back) bins.set(Math.floor(at / 100), (bins.get(Math.floor(at / 100)) ?? 0) + 1)
  const [first, last] = [Math.min(...back), Math.max(...back)]
  const mean = back.length / ((last - first) / 100)
  expect(Math.max(...bins.values())).toBeLessThanOrEqual(3 * mean)
  expect(last - awayUntil).toBeLessThan(13_000)
})
