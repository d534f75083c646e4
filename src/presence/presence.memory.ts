import type { Clock } from '../lib/clock.ts'
import { dropOldest } from '../lib/drop-oldest.ts'
import type { UserId } from '../protocol/message.ts'
import type { OnlinePage, Presence, PresenceState } from './presence.ts'
import { SortedUsers } from './sorted-users.ts'

/** Users whose last visit is remembered; the earliest go first. */
const MAX_LAST_SEEN = 100_000

/** Presence of a single instance: its own connections are all there are. */
export class MemoryPresence implements Presence {
  readonly #clock: Pick<Clock, 'now'>
  readonly #connections = new Map<UserId, number>()
  readonly #sorted = new SortedUsers()
  /** First pages by limit, the same object until somebody comes or goes, so that a caller can keep what it made of one. */
  readonly #firstPages = new Map<number, OnlinePage>()
  readonly #lastSeenMs = new Map<UserId, number>()
  readonly #watched = new Set<UserId>()
  #changed: ((state: PresenceState) => void) | undefined

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  connected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    this.#connections.set(userId, known + 1)
    if (known > 0) return
    this.#sorted.add(userId)
    this.#lastSeenMs.delete(userId)
    this.#tell(userId)
  }

  disconnected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    if (known > 1) {
      this.#connections.set(userId, known - 1)
    } else if (this.#connections.delete(userId)) {
      this.#sorted.delete(userId)
      this.#remember(userId)
      this.#tell(userId)
    }
  }

  drain(): void {
    // No socket is left to be told.
  }

  online(limit: number, cursor?: string): OnlinePage {
    if (cursor !== undefined) return this.#pageOf(limit, cursor)
    const known = this.#firstPages.get(limit)
    if (known) return known
    const page = this.#pageOf(limit)
    this.#firstPages.set(limit, page)
    return page
  }

  async states(userIds: readonly UserId[]): Promise<PresenceState[]> {
    return userIds.map((userId) => this.#stateOf(userId))
  }

  async watch(userId: UserId): Promise<void> {
    this.#watched.add(userId)
  }

  unwatch(userId: UserId): void {
    this.#watched.delete(userId)
  }

  listen({ changed }: { changed(state: PresenceState): void }): void {
    this.#changed = changed
  }

  async close(): Promise<void> {
    this.#changed = undefined
  }

  #pageOf(limit: number, cursor?: string): OnlinePage {
    const { users, hasMore } = this.#sorted.page(limit, cursor)
    return { users, count: this.#sorted.size, nextCursor: hasMore ? (users.at(-1) ?? null) : null }
  }

  #tell(userId: UserId): void {
    this.#firstPages.clear()

    if (this.#watched.has(userId)) this.#changed?.(this.#stateOf(userId))
  }

  #stateOf(userId: UserId): PresenceState {
    if (this.#connections.has(userId)) return { userId, status: 'online' }
    const lastSeenMs = this.#lastSeenMs.get(userId)
    return lastSeenMs === undefined ? { userId, status: 'offline' } : { userId, status: 'offline', lastSeenMs }
  }

  #remember(userId: UserId): void {
    this.#lastSeenMs.set(userId, this.#clock.now())
    dropOldest(this.#lastSeenMs, MAX_LAST_SEEN)
  }
}
