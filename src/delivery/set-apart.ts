import type { Clock } from '../lib/clock.ts'
import type { UserId } from '../protocol/message.ts'
import type { Look } from './comparison.ts'
import type { LocalUsers } from './local-users.ts'

/** Users whose look failed although the store answers, and what it was to find. */
export interface Part {
  readonly users: readonly UserId[]
  readonly look: Look
  /** By this process's clock. */
  readonly dueMs: number
  /** How often it failed since it could not be split any more. */
  readonly attempts: number
}

/** A part that was split is tried again soon: most of its users have nothing to do with the failure. */
const SPLIT_RETRY_MS = 500
/** One user whose look fails costs the database the time until it gives up, again and again. */
const RETRY = { firstMs: 1_000, maxMs: 60_000 }

/**
 * Keeps users whose look fails away from the others: a part that fails is split in halves until the user is alone of whom
 * there is too much to read, and who is then tried ever more rarely. Each part remembers since when its users were not compared.
 */
export class SetApart {
  readonly #here: LocalUsers
  readonly #clock: Clock
  #parts: Part[] = []

  constructor(here: LocalUsers, clock: Clock) {
    this.#here = here
    this.#clock = clock
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  /** A part that may be tried now, without those who have left meanwhile. */
  get due(): Part | undefined {
    this.#parts = this.#parts.map((part) => this.#stillHere(part)).filter(({ users }) => users.length > 0)
    return this.#parts.find(({ dueMs }) => dueMs <= this.#clock.now())
  }

  /** All users who are set apart. */
  users(): Set<UserId> {
    return new Set(this.#parts.flatMap(({ users }) => users))
  }

  add(users: readonly UserId[], look: Look): void {
    this.#parts.push(...this.#halves({ users, look, dueMs: 0, attempts: 0 }))
  }

  /** A look at all others is about to begin: the parts are to find what it finds. */
  join(look: Look): void {
    this.#parts = this.#parts.map((part) => {
      const sinceMs = Math.min(part.look.sinceMs, look.sinceMs)
      return { ...part, look: { sinceMs, receipts: part.look.receipts || look.receipts } }
    })
  }

  done(part: Part): void {
    this.#parts = this.#parts.filter((one) => one !== part)
  }

  failed(part: Part): void {
    this.done(part)
    this.#parts.push(...this.#halves(part))
  }

  /** It was not about its users. */
  putOff(part: Part): void {
    this.done(part)
    this.#parts.push({ ...part, dueMs: this.#clock.now() + SPLIT_RETRY_MS })
  }

  #halves(part: Part): Part[] {
    const now = this.#clock.now()
    const { users, attempts } = part
    if (users.length === 1) {
      const waitMs = Math.min(RETRY.firstMs * 2 ** attempts, RETRY.maxMs)
      return [{ ...part, dueMs: now + waitMs, attempts: attempts + 1 }]
    }
    const middle = Math.ceil(users.length / 2)
    const halves = [users.slice(0, middle), users.slice(middle)]
    return halves.map((half) => ({ ...part, users: half, dueMs: now + SPLIT_RETRY_MS }))
  }

  #stillHere(part: Part): Part {
    const users = part.users.filter((user) => this.#here.of(user).length > 0)
    return users.length === part.users.length ? part : { ...part, users }
  }
}
