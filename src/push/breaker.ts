import type { Clock } from '../lib/clock.ts'
import { dropOldest } from '../lib/drop-oldest.ts'
import type { UserId } from '../protocol/message.ts'
import type { PushFate } from './answer.ts'

/** Of the last minute or two, by host. */
interface HostState {
  sinceMs: number
  answers: number
  refused: number
  /** Users whose pushes were refused; no more than are needed. */
  readonly refusedUsers: Set<UserId>
  /** Failures in a row. */
  failed: number
  succeededMs: number | undefined
  closedUntilMs: number
  /** How often it was closed since it last worked. */
  closings: number
}

const WINDOW_MS = 60_000
/** Of so many answers or more the share of refusals says something. */
const MIN_ANSWERS = 5
const MAX_REFUSED_PART = 0.2
/** One person can make ten subscriptions that are refused, and must not close a service to everybody. */
const MIN_REFUSED_USERS = 3
const REFUSED_CLOSED_MS = 5 * 60_000
const MAX_FAILED_IN_A_ROW = 10
const FAILED_CLOSED_MS = 5_000
const MAX_FAILED_CLOSED_MS = 10 * 60_000
const BUSY_CLOSED_MS = 60_000
const MAX_BUSY_CLOSED_MS = 60 * 60_000
/** For how long a success shows that the host as a whole works. */
const WORKS_FOR_MS = 10 * 60_000
const MAX_HOSTS = 10_000

/**
 * Leaves a push service alone that does not work, so that it neither holds up the others nor is hammered: when it says so
 * itself, when it fails ten times in a row, or when more than a fifth of its answers, to pushes of three people or more, refuse
 * the sender. It tells no more
 * than this instance has seen; `closed` is told of everything that the others should know.
 */
export class Breaker {
  readonly #clock: Clock
  readonly #closed: (host: string, seconds: number) => void
  readonly #hosts = new Map<string, HostState>()

  constructor(clock: Clock, closed: (host: string, seconds: number) => void) {
    this.#clock = clock
    this.#closed = closed
  }

  /** Seconds until the host may be asked again; 0: now. */
  closedSeconds(host: string): number {
    const state = this.#hosts.get(host)
    return state ? Math.max(0, (state.closedUntilMs - this.#clock.now()) / 1000) : 0
  }

  /**
   * Whether refusals of one subscription say something about it: the host accepts others, lately and nearly always. While a
   * service has an outage, or our keys are wrong, they do not.
   */
  isTrusted(host: string): boolean {
    const state = this.#hosts.get(host)
    if (state?.succeededMs === undefined || this.#clock.now() - state.succeededMs > WORKS_FOR_MS) return false
    return state.refused <= state.answers * MAX_REFUSED_PART && this.closedSeconds(host) === 0
  }

  /** To a push for this user. */
  answered(host: string, userId: UserId, fate: PushFate, retryAfterSeconds?: number): void {
    const state = this.#stateOf(host)
    state.answers += 1
    if (fate === 'refused') this.#refused(host, userId, state)
    else if (fate === 'busy') this.#close(host, state, busyMs(retryAfterSeconds))
    else if (fate === 'failed') this.#failed(host, state)
    else if (fate === 'sent') this.#worked(state)
    // It answered, whatever it thinks of the push.
    if (fate !== 'failed') state.failed = 0
  }

  #refused(host: string, userId: UserId, state: HostState): void {
    state.refused += 1
    if (state.refusedUsers.size < MIN_REFUSED_USERS) state.refusedUsers.add(userId)
    if (state.refusedUsers.size < MIN_REFUSED_USERS) return
    if (state.answers < MIN_ANSWERS || state.refused <= state.answers * MAX_REFUSED_PART) return
    this.#close(host, state, REFUSED_CLOSED_MS)
  }

  #failed(host: string, state: HostState): void {
    // What was under way when it closed fails as well, and says nothing new.
    if (state.closedUntilMs > this.#clock.now()) return
    state.failed += 1
    // After it was closed one more failure is enough.
    if (state.failed < MAX_FAILED_IN_A_ROW && state.closings === 0) return
    this.#close(host, state, Math.min(MAX_FAILED_CLOSED_MS, FAILED_CLOSED_MS * 2 ** state.closings))
    state.closings += 1
  }

  #worked(state: HostState): void {
    state.succeededMs = this.#clock.now()
    state.closings = 0
  }

  #close(host: string, state: HostState, ms: number): void {
    const untilMs = this.#clock.now() + ms
    // Many answers that were under way say the same: told once.
    if (state.closedUntilMs > this.#clock.now() && untilMs <= state.closedUntilMs + WINDOW_MS) return
    state.closedUntilMs = untilMs
    this.#closed(host, ms / 1000)
  }

  #stateOf(host: string): HostState {
    const now = this.#clock.now()
    const known = this.#hosts.get(host)
    if (known && now - known.sinceMs < WINDOW_MS) return known
    const fresh = { sinceMs: now, answers: 0, refused: 0, refusedUsers: new Set<UserId>() }
    const state = { failed: 0, succeededMs: undefined, closedUntilMs: 0, closings: 0, ...known, ...fresh }
    this.#hosts.delete(host)
    this.#hosts.set(host, state)
    dropOldest(this.#hosts, MAX_HOSTS)
    return state
  }
}

function busyMs(retryAfterSeconds: number | undefined): number {
  if (retryAfterSeconds === undefined) return BUSY_CLOSED_MS
  return Math.min(MAX_BUSY_CLOSED_MS, Math.max(1_000, retryAfterSeconds * 1000))
}
