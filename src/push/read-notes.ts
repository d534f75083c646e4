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
/** More are not kept: their notifications stay until the next read of the conversation. */
const MAX_PLACES = 100_000

/** Gathers which conversations were read, so that notifications of them can be taken away. */
export class ReadNotes {
  readonly #options: ReadNotesOptions
  #places = new Map<string, Place>()
  #cancel: (() => void) | undefined
  #telling: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: ReadNotesOptions) {
    this.#options = options
  }

  note(userId: UserId, conversation: Conversation): void {
    if (this.#places.size >= MAX_PLACES || this.#isClosed) return
    // A user id holds no space, so no two keys are equal.
    this.#places.set(`${userId} ${conversation.key}`, { userId, conversation })
    this.#cancel ??= this.#options.clock.after(INTERVAL_MS, () => {
      this.#cancel = undefined
      this.#telling = this.#tell(this.#telling)
    })
  }

  clear(): void {
    this.#places.clear()
  }

  /** Resolves when what was told is written; what was not is left. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    await this.#telling
  }

  /** Never rejects. */
  async #tell(before: Promise<void>): Promise<void> {
    await before
    const { store, health, wake } = this.#options
    const places = [...this.#places.values()]
    this.#places = new Map()
    try {
      for (const part of chunks(places, PLACES_PER_QUERY)) await store.read(part)
      health.works(PART)
      wake()
    } catch (error) {
      // These stay until the next read of their conversation.
      health.failed(PART, error)
    }
  }
}
