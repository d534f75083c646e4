import type { Clock } from '../lib/clock.ts'
import { reasonOf } from '../lib/errors.ts'
import {
  CommitError,
  type CommitPath,
  type MessageLog,
  type PendingMessage,
  type PositionChange,
} from '../messages/store.ts'

/** One transaction in which a message was to be stored. Milliseconds since the epoch. */
export interface CommitAttempt {
  readonly beganMs: number
  readonly endedMs: number
  readonly failure: string | undefined
}

/** The attempts of sends that are traced, for as long as the send itself is held. */
export class CommitAttempts {
  readonly #ofSend = new WeakMap<PendingMessage, CommitAttempt[]>()

  note(message: PendingMessage, attempt: CommitAttempt): void {
    const known = this.#ofSend.get(message)
    if (known) known.push(attempt)
    else this.#ofSend.set(message, [attempt])
  }

  of(message: PendingMessage): readonly CommitAttempt[] {
    return this.#ofSend.get(message) ?? []
  }
}

export interface TracedLogOptions {
  readonly log: MessageLog
  readonly attempts: CommitAttempts
  readonly isSampled: (messageId: string) => boolean
  readonly clock: Pick<Clock, 'now'>
}

/** A log whose transactions are noted for the traces of what they hold. */
export class TracedLog implements MessageLog {
  readonly #options: TracedLogOptions

  constructor(options: TracedLogOptions) {
    this.#options = options
  }

  async commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]> {
    const { log, clock } = this.#options
    const beganMs = clock.now()
    try {
      const moved = await log.commit(messages, positions, path)
      this.#note(messages, beganMs, undefined)
      return moved
    } catch (error) {
      this.#note(messages, beganMs, error instanceof CommitError ? error.failure : reasonOf(error))
      throw error
    }
  }

  cancelCommit(): void {
    this.#options.log.cancelCommit()
  }

  check(): Promise<void> {
    return this.#options.log.check()
  }

  close(): Promise<void> {
    return this.#options.log.close()
  }

  #note(messages: readonly PendingMessage[], beganMs: number, failure: string | undefined): void {
    const { attempts, isSampled, clock } = this.#options
    const attempt = { beganMs, endedMs: clock.now(), failure }
    for (const message of messages) if (isSampled(message.id)) attempts.note(message, attempt)
  }
}
