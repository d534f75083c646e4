import type { Clock } from '../lib/clock.ts'
import { reasonOf } from '../lib/errors.ts'
import {
  CommitError,
  type CommitFailure,
  type CommitPath,
  type MessageLog,
  type PendingMessage,
  type PositionChange,
} from './store.ts'

export interface FailedCommit {
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly atMs: number
}

/** The others are about what was to be stored: another batch may be. */
const OF_THE_STORE: readonly CommitFailure[] = ['denied', 'aborted', 'unknown']

/** A log that remembers whether its latest commit failed: what a service achieves tells more than what a probe finds. */
export class WatchedLog implements MessageLog {
  readonly #log: MessageLog
  readonly #clock: Pick<Clock, 'now'>
  #failure: FailedCommit | undefined

  constructor(log: MessageLog, clock: Pick<Clock, 'now'>) {
    this.#log = log
    this.#clock = clock
  }

  /** The latest commit, if it failed. What is wrong with the messages themselves is no failure. */
  get failure(): FailedCommit | undefined {
    return this.#failure
  }

  async commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]> {
    try {
      const moved = await this.#log.commit(messages, positions, path)
      this.#failure = undefined
      return moved
    } catch (error) {
      const isOfStore = !(error instanceof CommitError) || OF_THE_STORE.includes(error.failure)
      if (isOfStore) this.#failure = { reason: reasonOf(error), atMs: this.#clock.now() }
      throw error
    }
  }

  cancelCommit(): void {
    this.#log.cancelCommit()
  }

  check(): Promise<void> {
    return this.#log.check()
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}
