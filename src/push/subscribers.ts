import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { COMMIT_SLACK_MS } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { SubscriptionStore } from './subscription.ts'

export interface SubscribersOptions {
  readonly store: Pick<SubscriptionStore, 'users' | 'usersSince'>
  readonly clock: Clock
  readonly health: Pick<DependencyLog, 'failed' | 'works'>
}

const PART = 'push subscriptions'
const LOOK_INTERVAL_MS = 2_000
/** Everybody is read anew so often: those who have no subscription any more are forgotten then. */
const READ_ALL_INTERVAL_MS = 60 * 60_000
const PAGE = 20_000

/**
 * The users who have a subscription, so that nothing is kept of messages to all others. It may name somebody who has none any more, and
 * lacks for two seconds who subscribed on another instance: of that the sweeper finds what was missed.
 */
export class Subscribers {
  readonly #options: SubscribersOptions
  #users = new Set<UserId>()
  #seenUntilMs: number | undefined
  #allReadMs: number | undefined
  #generation = 0
  #cancelNext = (): void => undefined
  #isClosed = false

  constructor(options: SubscribersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#users.size
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId)
  }

  add(userId: UserId): void {
    this.#users.add(userId)
  }

  /** After a restore those who are known may not be there, and others may be who are not known: the next look reads everybody. */
  historyChanged(): void {
    this.#seenUntilMs = undefined
    this.#allReadMs = undefined
    this.#generation += 1
  }

  /** Resolves after the first look, whatever comes of it. */
  async start(): Promise<void> {
    await this.#look()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelNext()
  }

  async #look(): Promise<void> {
    const { clock, health } = this.#options
    try {
      await this.#read()
      health.works(PART)
    } catch (error) {
      health.failed(PART, error)
    }
    if (!this.#isClosed) this.#cancelNext = clock.after(LOOK_INTERVAL_MS, () => void this.#look())
  }

  async #read(): Promise<void> {
    const { store, clock } = this.#options
    const generation = this.#generation
    const isAllRead = this.#allReadMs === undefined || clock.now() - this.#allReadMs > READ_ALL_INTERVAL_MS
    const sinceMs = this.#seenUntilMs === undefined ? undefined : this.#seenUntilMs - COMMIT_SLACK_MS
    const { users, asOfMs } = await store.usersSince(sinceMs)
    const all = isAllRead ? await this.#all() : this.#users
    // Begun before a restore it tells of what was before.
    if (generation !== this.#generation) return
    if (isAllRead) {
      this.#users = all
      this.#allReadMs = clock.now()
    }
    for (const userId of users) this.#users.add(userId)
    this.#seenUntilMs = asOfMs
  }

  async #all(): Promise<Set<UserId>> {
    const all = new Set<UserId>()
    let after = ''
    for (;;) {
      const page = await this.#options.store.users(after, PAGE)
      for (const userId of page) all.add(userId)
      const last = page.at(-1)
      if (page.length < PAGE || last === undefined) return all
      after = last
    }
  }
}
