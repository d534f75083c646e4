import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { Conversation } from '../messages/conversation.ts'
import type { UserId } from '../protocol/message.ts'
import type { JobStore, Place } from './job.ts'

export interface ReadNotesOptions {
  readonly store: Pick<JobStore, 'read'>
  readonly clock: Clock
  readonly health: Pick<DependencyLog, 'failed' | 'works'>
  /** There may be jobs to send. */
  readonly wake: () => void
}

const PART = 'notifications of what was read'
/** What was read within this time is told at once. */
const INTERVAL_MS = 1_000
const PLACES_PER_QUERY = 500
/** More are not kept: the sweeping instance finds them. */
const MAX_PLACES = 100_000

/** Gathers which conversations were read, so that notifications of them can be taken away. */
export class ReadNotes {
  readonly #options: ReadNotesOptions
  #places = new Map<string, Place>()
  #cancel: (() => void) | undefined
  #telling: Promise<void> = Promise.resolve()
  #isClosed = false
  #generation = 0

  constructor(options: ReadNotesOptions) {
    this.#options = options
  }

  note(userId: UserId, conversation: Conversation): void {
    if (this.#places.size >= MAX_PLACES || this.#isClosed) return
    // A user id holds no space, so no two keys are equal.
    this.#places.set(`${userId} ${conversation.key}`, { userId, conversation })
    this.#tellSoon()
  }

  #tellSoon(): void {
    this.#cancel ??= this.#options.clock.after(INTERVAL_MS, () => {
      this.#cancel = undefined
      this.#telling = this.#tell(this.#telling)
    })
  }

  /** Forgets everything, also what is being told: it was read in another history. */
  clear(): void {
    this.#places = new Map()
    this.#generation += 1
  }

  /** Resolves when everything up to now is told, or cannot be. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    this.#telling = this.#tell(this.#telling)
    await this.#telling
  }

  /** Never rejects. */
  async #tell(before: Promise<void>): Promise<void> {
    await before
    if (this.#places.size === 0) return
    const { store, health, wake } = this.#options
    const places = this.#places
    const generation = this.#generation
    this.#places = new Map()
    try {
      for (const part of chunks([...places.values()], PLACES_PER_QUERY)) {
        if (generation !== this.#generation) return
        await store.read(part)
      }
      health.works(PART)
      wake()
    } catch (error) {
      health.failed(PART, error)
      // To tell the same again does nothing.
      if (generation === this.#generation && !this.#isClosed) this.#tellAgain(places)
    }
  }

  #tellAgain(places: ReadonlyMap<string, Place>): void {
    this.#places = new Map([...places, ...this.#places])
    this.#tellSoon()
  }
}
