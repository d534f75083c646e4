import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { UserId } from '../protocol/message.ts'
import type { Presence, PresenceState } from './presence.ts'

export interface WatchesOptions {
  readonly presence: Presence
  readonly clock: Clock
  /** How long somebody must be gone before it is announced; milliseconds. */
  readonly graceMs: number
  /** Users that clients of this instance may watch, all together. */
  readonly maxWatched?: number
  /** To every socket of this instance that watches the user. */
  announce(state: PresenceState): void
}

const USERS_PER_LOOK = 500
/** Each of them takes about a kilobyte here, and a channel of Redis. */
const MAX_WATCHED_HERE = 1_000_000

interface Watched {
  watchers: number
  /** Settles when no change will be missed any more; shared by all watchers, however many. */
  readonly subscribed: Promise<void>
  /** The latest event. */
  heard: PresenceState | undefined
  /** What the watchers were told last. */
  announced: PresenceState | undefined
  /** Somebody was told `unknown` alone: what is, is news to them even when it is none to the others. */
  isUnsure: boolean
  cancelOffline: (() => void) | undefined
}

const UNTOLD: Omit<Watched, 'subscribed'> = {
  watchers: 1,
  heard: undefined,
  announced: undefined,
  isUnsure: false,
  cancelOffline: undefined,
}

/**
 * The users whom clients of this instance watch, and what the watchers were told. A reload of a page or a rolling restart takes somebody
 * off and back within seconds; watchers are told of it only when it lasts longer than the grace.
 */
export class PresenceWatches {
  readonly #options: WatchesOptions
  readonly #watched = new Map<UserId, Watched>()

  constructor(options: WatchesOptions) {
    this.#options = options
    options.presence.listen({ changed: (state) => this.#heard(state), refresh: () => void this.#refresh() })
  }

  /** One more watcher of each of these users; none, and false, when there is no room for those whom nobody watches yet. */
  watch(userIds: readonly UserId[]): boolean {
    const added = userIds.filter((userId) => !this.#watched.has(userId))
    if (this.#watched.size + added.length > (this.#options.maxWatched ?? MAX_WATCHED_HERE)) return false
    for (const userId of userIds) this.#add(userId)
    return true
  }

  /** What a watcher is to be told now; later changes are announced. Takes its look once no change will be missed any more. */
  async states(userIds: readonly UserId[]): Promise<PresenceState[]> {
    await Promise.all(userIds.map((userId) => this.#watched.get(userId)?.subscribed))
    return (await this.#look(userIds)).map((state) => this.#first(state))
  }

  unwatch(userIds: readonly UserId[]): void {
    for (const userId of userIds) {
      const watched = this.#watched.get(userId)
      if (!watched) continue
      watched.watchers -= 1
      if (watched.watchers > 0) continue
      watched.cancelOffline?.()
      this.#watched.delete(userId)
      this.#options.presence.unwatch(userId)
    }
  }

  #add(userId: UserId): void {
    const watched = this.#watched.get(userId)
    if (watched) {
      watched.watchers += 1
      return
    }
    const subscribed = this.#options.presence.watch(userId)
    // Perhaps no watcher waits for it when it fails.
    subscribed.catch(() => undefined)
    this.#watched.set(userId, { ...UNTOLD, subscribed })
  }

  /** What is. Answers and events travel on different connections: an event that comes meanwhile is taken for the newer. */
  async #look(userIds: readonly UserId[]): Promise<PresenceState[]> {
    const before = userIds.map((userId) => this.#watched.get(userId)?.heard)
    const states = await this.#options.presence.states(userIds)
    return states.map((state, index) => {
      const heard = this.#watched.get(state.userId)?.heard
      return heard === before[index] ? state : (heard ?? state)
    })
  }

  #heard(state: PresenceState): void {
    const watched = this.#watched.get(state.userId)
    if (watched) watched.heard = state
    this.#changed(state)
  }

  /**
   * A watcher that comes within a grace is told what the others still believe, or the return would be no news to tell. That one look
   * has failed is no news to the others.
   */
  #first(state: PresenceState): PresenceState {
    const watched = this.#watched.get(state.userId)
    if (!watched) return state
    if (watched.cancelOffline && watched.announced) return watched.announced
    if (watched.announced && watched.announced.status !== state.status) {
      if (state.status === 'unknown') watched.isUnsure = true
      else this.#changed(state)
    }
    watched.announced ??= state
    return watched.cancelOffline ? watched.announced : state
  }

  #changed(state: PresenceState): void {
    const watched = this.#watched.get(state.userId)
    if (!watched) return
    if (state.status === 'offline' && watched.announced && watched.announced.status !== 'offline') {
      watched.cancelOffline ??= this.#options.clock.after(this.#options.graceMs, () => {
        watched.cancelOffline = undefined
        this.#announce(watched, state)
      })
      return
    }
    if (state.status !== 'offline') {
      watched.cancelOffline?.()
      watched.cancelOffline = undefined
    }
    if (watched.isUnsure || watched.announced?.status !== state.status) this.#announce(watched, state)
  }

  #announce(watched: Watched, state: PresenceState): void {
    watched.announced = state
    watched.isUnsure = false
    this.#options.announce(state)
  }

  async #refresh(): Promise<void> {
    for (const userIds of chunks([...this.#watched.keys()], USERS_PER_LOOK)) {
      for (const state of await this.#look(userIds)) this.#changed(state)
    }
  }
}
