import { BLAMING_CODES } from './outbox.ts'
import { retryDelayMs } from './retry.ts'

const TOKEN_LIMIT_MS = 30_000
const OPEN_LIMIT_MS = 10_000
const PONG_LIMIT_MS = 5000
const WAKE_PONG_LIMIT_MS = 2500
const DEFAULT_HEARTBEAT_MS = 32_000
/** While the browser believes that there is no network, a connection that answers is asked again after so long. */
const OFFLINE_HEARTBEAT_MS = 5000
/** A server that accepts and closes at once must not be hammered: only after this long is a connection a good one. */
const STABLE_AFTER_MS = 10_000
const PROTOCOL_FAULTS = { count: 3, withinMs: 5 * 60_000 }
const REFRESH_AGAIN_MS = 5000

export type Phase = 'idle' | 'connecting' | 'authenticating' | 'syncing' | 'live' | 'waiting' | 'stopped'
/** Why the client does not connect again by itself. `replaced`: too many connections of this user, the newest stay. */
export type StopReason = 'closed' | 'unauthorized' | 'forbidden' | 'replaced' | 'protocol_error'

/** Times are milliseconds of a clock that never goes back. */
export interface Connection {
  readonly phase: Phase
  /** Goes up with each socket; what comes from an older one changes nothing. */
  readonly generation: number
  /** Failures in a row, for the wait before the next attempt. */
  readonly attempt: number
  /** Sockets in a row that closed before `welcome`. */
  readonly refusals: number
  readonly why: string | undefined
  readonly until: number | undefined
  readonly openBy: number | undefined
  readonly pongBy: number | undefined
  readonly stableAt: number | undefined
  readonly refreshAt: number | undefined
  readonly notBefore: number
  /** Until then the server takes no commands of this client: it was told to wait. */
  readonly limitedUntil: number
  readonly heardAt: number
  readonly heartbeatMs: number
  readonly isVisible: boolean
  readonly isOnline: boolean
  readonly rejectedTokens: number
  readonly wasLate: boolean
  readonly faults: readonly number[]
  readonly steppedAt: number
}

export type ConnectionEvent =
  | { readonly type: 'start' | 'tick' | 'wake' | 'hide' | 'expiring' }
  | { readonly type: 'stop'; readonly why: StopReason }
  | { readonly type: 'visible' | 'online'; readonly is: boolean }
  | { readonly type: 'dialed' | 'opened' | 'synced'; readonly generation: number }
  /** `isAnswer`: to the last ping. Any other may have been on its way when the link died. */
  | { readonly type: 'frame'; readonly generation: number; readonly isAnswer: boolean }
  | {
      readonly type: 'welcome'
      readonly generation: number
      readonly heartbeatMs?: number | undefined
      readonly expiresInMs?: number | undefined
    }
  | { readonly type: 'closed'; readonly generation: number; readonly code: number }
  | { readonly type: 'token_failed'; readonly generation: number; readonly isFatal: boolean }
  /** The answer over HTTP to why sockets do not open. */
  | { readonly type: 'probed'; readonly status: number; readonly retryAfterMs?: number | undefined }
  | { readonly type: 'draining' | 'limited'; readonly afterMs: number }
  /** The token was replaced on the open connection, or could not be had. */
  | { readonly type: 'refreshed'; readonly expiresInMs?: number | undefined }

export type Effect =
  /** `refused`: the last token was not taken. */
  { readonly type: 'open'; readonly reason: 'connect' | 'refused' } | { readonly type: 'ping' | 'probe' | 'refresh' }

export type Step = readonly [state: Connection, effects: readonly Effect[]]
interface Moment {
  readonly now: number
  /** In [0, 1). */
  readonly random: number
}

const NOTHING_DUE = {
  until: undefined,
  openBy: undefined,
  pongBy: undefined,
  stableAt: undefined,
  refreshAt: undefined,
}

export const INITIAL: Connection = {
  ...{ ...NOTHING_DUE, phase: 'idle', generation: 0, attempt: 0, refusals: 0, why: undefined },
  ...{ notBefore: 0, limitedUntil: 0, heardAt: 0 },
  ...{ heartbeatMs: DEFAULT_HEARTBEAT_MS, isVisible: true, isOnline: true, rejectedTokens: 0, wasLate: false },
  ...{ faults: [], steppedAt: 0 },
}

/** Whether the server has said `welcome` on the present socket. */
export const isWelcomed = ({ phase }: Connection): boolean => phase === 'syncing' || phase === 'live'
const hasSocket = ({ phase }: Connection): boolean => phase !== 'idle' && phase !== 'waiting' && phase !== 'stopped'

/** When the next `tick` is due; Infinity when nothing waits. */
export function dueAt(state: Connection): number {
  const { until, openBy, pongBy, stableAt, refreshAt } = state
  const times = [until, openBy, pongBy, stableAt, refreshAt, pingAt(state)]
  return Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY))
}

/** A hidden tab does not ask: its timers are late, and the server's own pings are answered without them. */
function pingAt(state: Connection): number | undefined {
  if (!isWelcomed(state) || !state.isVisible || state.pongBy !== undefined) return undefined
  const everyMs = state.isOnline ? state.heartbeatMs : Math.min(state.heartbeatMs, OFFLINE_HEARTBEAT_MS)
  return state.heardAt + everyMs
}

/** The next state and what is to be done. Total: an event that does not fit the state changes nothing. */
export function step(before: Connection, event: ConnectionEvent, moment: Moment): Step {
  const { now, random } = moment
  if ('generation' in event && event.generation !== before.generation) return [before, []]
  const state: Connection = { ...before, steppedAt: now }
  // A link that brings frames is given time for the answer that comes behind them.
  const pongBy = before.pongBy && Math.max(before.pongBy, now + WAKE_PONG_LIMIT_MS)
  switch (event.type) {
    case 'start':
      return hasSocket(state) ? [state, []] : open({ ...state, rejectedTokens: 0, faults: [] }, 'connect', now)
    case 'stop':
      return stopped(state, event.why)
    case 'hide':
      return state.phase === 'stopped' ? [state, []] : [left({ ...state, phase: 'idle' }), []]
    case 'dialed':
      return [{ ...state, openBy: now + OPEN_LIMIT_MS }, []]
    case 'opened':
      return [state.phase === 'connecting' ? { ...state, phase: 'authenticating' } : state, []]
    case 'welcome':
      return hasSocket(state) ? welcomed(state, event, moment) : [state, []]
    case 'synced':
      return [state.phase === 'syncing' ? { ...state, phase: 'live', stableAt: now + STABLE_AFTER_MS } : state, []]
    case 'frame':
      return [{ ...state, heardAt: now, pongBy: event.isAnswer ? undefined : pongBy }, []]
    case 'closed':
      return hasSocket(state) ? lost(state, event.code, moment) : [state, []]
    case 'draining':
      return [{ ...state, notBefore: now + event.afterMs * (1 + random / 5) }, []]
    case 'limited':
      return [{ ...state, limitedUntil: Math.max(state.limitedUntil, now + event.afterMs * (1 + random / 5)) }, []]
    case 'token_failed':
      return event.isFatal ? stopped(state, 'unauthorized') : again({ ...state, why: 'token' }, 0, moment)
    case 'probed':
      return probed(state, event, moment)
    case 'expiring':
    case 'refreshed':
      return isWelcomed(state) ? refreshing(state, event, moment) : [state, []]
    case 'visible':
    case 'online':
    case 'wake':
      return noticed(state, event, moment)
    case 'tick':
      return ticked(state, before.steppedAt, moment)
  }
}

function welcomed(state: Connection, event: Extract<ConnectionEvent, { type: 'welcome' }>, moment: Moment): Step {
  const next: Connection = {
    ...{ ...state, phase: 'syncing', openBy: undefined, refusals: 0, why: undefined, wasLate: false, notBefore: 0 },
    ...{ heardAt: moment.now, heartbeatMs: event.heartbeatMs ?? DEFAULT_HEARTBEAT_MS },
    refreshAt: refreshTime(event.expiresInMs, moment),
  }
  return [next, []]
}

function refreshing(state: Connection, event: ConnectionEvent, moment: Moment): Step {
  if (event.type === 'refreshed') return [{ ...state, refreshAt: refreshTime(event.expiresInMs, moment) }, []]
  return refresh(state, moment.now)
}

function refresh(state: Connection, now: number): Step {
  return [{ ...state, refreshAt: now + REFRESH_AGAIN_MS }, [{ type: 'refresh' }]]
}

/** At 80 % of the time that is left, and not for all tabs in the same moment. */
function refreshTime(expiresInMs: number | undefined, { now, random }: Moment): number | undefined {
  return expiresInMs === undefined ? undefined : now + Math.max(1000, expiresInMs * (0.76 + 0.08 * random))
}

function noticed(state: Connection, event: ConnectionEvent, moment: Moment): Step {
  const { now, random } = moment
  let next = state
  if (event.type === 'visible') next = { ...state, isVisible: event.is }
  if (event.type === 'online') next = { ...state, isOnline: event.is }
  if (event.type === 'visible' && !event.is) return [next, []]
  if (next.phase === 'waiting') {
    if (event.type === 'online' && !event.is) return [next, []]
    const until = Math.max(Math.min(next.until ?? now, now + random * 500), next.notBefore)
    return [{ ...next, until }, []]
  }
  // Whatever the socket says of itself: after a sleep or a change of network it may be dead and still look open.
  if (!isWelcomed(next)) return [next, []]
  const pongBy = Math.min(next.pongBy ?? Number.POSITIVE_INFINITY, now + WAKE_PONG_LIMIT_MS)
  return [{ ...next, pongBy }, [{ type: 'ping' }]]
}

function ticked(state: Connection, armedAt: number, moment: Moment): Step {
  const { now } = moment
  const due = dueAt(state)
  if (now < due) return [state, []]
  // A timer that comes far too late has slept with the machine: what was due may have arrived meanwhile.
  const wasAsleep = due > armedAt && now - due > 1000 && now - armedAt > 2 * (due - armedAt)
  if (wasAsleep && isWelcomed(state)) {
    const pongBy = now + WAKE_PONG_LIMIT_MS
    return [{ ...state, pongBy, refreshAt: state.refreshAt && now + REFRESH_AGAIN_MS }, [{ type: 'ping' }]]
  }
  const isOver = (time = Number.POSITIVE_INFINITY): boolean => now >= time
  if (isOver(state.until)) return open(state, 'connect', now)
  if (isOver(state.openBy) || isOver(state.pongBy)) return lost({ ...state, why: 'timeout' }, 1006, moment)
  if (isOver(state.stableAt)) return [{ ...state, stableAt: undefined, attempt: 0, rejectedTokens: 0 }, []]
  if (isOver(state.refreshAt)) return refresh(state, now)
  return [{ ...state, pongBy: now + PONG_LIMIT_MS }, [{ type: 'ping' }]]
}

function probed(state: Connection, event: Extract<ConnectionEvent, { type: 'probed' }>, moment: Moment): Step {
  if (state.phase !== 'waiting') return [state, []]
  if (event.status === 401) return tokenRejected(state, moment)
  if (event.status === 403) return stopped(state, 'forbidden')
  const until = Math.max(state.until ?? 0, moment.now + (event.retryAfterMs ?? 0) * (1 + moment.random / 5))
  return [{ ...state, until }, []]
}

/** The socket is gone: what its code means. Codes: the protocol's table, `protocol/codes.ts`. */
function lost(state: Connection, code: number, moment: Moment): Step {
  const { now, random } = moment
  const refusals = isWelcomed(state) ? 0 : state.refusals + 1
  const next: Connection = { ...state, refusals, why: state.why ?? String(code) }
  if (BLAMING_CODES.includes(code)) {
    const faults = [...state.faults.filter((at) => now - at < PROTOCOL_FAULTS.withinMs), now]
    return faults.length >= PROTOCOL_FAULTS.count
      ? stopped(next, 'protocol_error')
      : again({ ...next, faults }, 0, moment)
  }
  switch (code) {
    case 4401:
      return tokenRejected(next, moment)
    case 4403:
      return stopped(next, 'forbidden')
    case 4409:
      return stopped(next, 'replaced')
    case 4408:
      return state.wasLate ? again(next, 0, moment) : open({ ...next, wasLate: true }, 'connect', now)
    default: {
      const notBefore = Math.max(state.notBefore, code === 4429 ? state.limitedUntil : 0)
      const isTold = notBefore > now
      const floorMs = code === 1011 || code === 1013 ? 2000 : code === 4429 && !isTold ? 10_000 : 0
      const delayMs = code === 4413 ? random * 2000 : code === 1012 ? (isTold ? 0 : random * 5000) : undefined
      const [waiting, effects] = again({ ...next, notBefore }, floorMs, moment, delayMs)
      return [waiting, refusals >= 2 ? [...effects, { type: 'probe' }] : effects]
    }
  }
}

/** A token that was good once has ended; one that was never good counts, and a second in a row ends the attempts. */
function tokenRejected(state: Connection, moment: Moment): Step {
  // A token made in the second of a revocation is refused like those before it.
  if (isWelcomed(state)) return again(state, 0, moment, 1000 + retryDelayMs(state.attempt, moment.random))
  const rejectedTokens = state.rejectedTokens + 1
  return rejectedTokens >= 2
    ? stopped(state, 'unauthorized')
    : open({ ...state, rejectedTokens }, 'refused', moment.now)
}

/** `delayMs`: in place of the usual wait. */
function again(state: Connection, floorMs: number, { now, random }: Moment, delayMs?: number): Step {
  const wait = delayMs ?? retryDelayMs(state.attempt, random)
  const until = Math.max(now + Math.max(wait, floorMs * (1 + random / 5)), state.notBefore)
  const attempt = state.attempt + 1
  return [{ ...left(state), phase: 'waiting', attempt, until }, []]
}

function open(state: Connection, reason: 'connect' | 'refused', now: number): Step {
  const next: Connection = { ...left(state), phase: 'connecting', openBy: now + TOKEN_LIMIT_MS, why: undefined }
  return [next, [{ type: 'open', reason }]]
}

function stopped(state: Connection, why: StopReason): Step {
  return [left({ ...state, phase: 'stopped', why }), []]
}

/** The present socket, if any, is no longer listened to, and closed: it is of an older generation. */
function left(state: Connection): Connection {
  return { ...state, ...NOTHING_DUE, generation: state.generation + 1 }
}
