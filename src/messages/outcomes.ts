import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { CommitListener } from './commit-feed.ts'
import type { KnownHeads } from './known-heads.ts'
import type { KnownPositions } from './known-positions.ts'
import type { QueuedSend } from './send-queue.ts'
import type { SettledListener } from './settling.ts'
import type { PositionChange } from './store.ts'

export interface SendObserver {
  /** `outcome`: stored, duplicate, conflict, or the code of a refusal. */
  sendSettled(outcome: string, ageMs: number): void
}

export interface OutcomesOptions {
  readonly feed: CommitListener
  readonly heads: KnownHeads
  readonly positions: KnownPositions
  readonly observer: SendObserver
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Passes on what became of a batch. Every sender hears the outcome of their own send first, because that was promised to
 * them; only then is everybody else told. A listener that fails keeps nothing from the others.
 */
export class Outcomes implements SettledListener {
  readonly #options: OutcomesOptions

  constructor(options: OutcomesOptions) {
    this.#options = options
  }

  settled(sends: readonly QueuedSend[], positions: readonly PositionChange[]): void {
    const { feed, heads, clock } = this.#options
    const now = clock.now()
    const news: QueuedSend[] = []
    for (const send of sends) {
      if (isNews(send, heads)) {
        news.push(send)
        // Before the sender knows: an acknowledgement may follow in the same turn.
        heads.saw(send.conversation, send.seq)
      }
      this.#tellSender(send, now)
    }
    for (const send of news) feed.message(send)
    for (const change of positions) {
      this.#options.positions.stored(change)
      feed.position(change)
    }
    feed.batchDone()
  }

  #tellSender(send: QueuedSend, now: number): void {
    const { observer, logger } = this.#options
    try {
      send.asker.settled(send)
    } catch (error) {
      logger.error({ err: error }, 'a sender could not be told what became of a send')
    }
    observer.sendSettled(send.refusal ?? send.fate, now - send.queuedAtMs)
  }
}

/**
 * Stored by this commit, or by an earlier one whose answer was lost. That one may have been an instance's that died while its COMMIT
 * waited for a standby, so that nobody was told: the newest message of a conversation is announced as well, unless it is known here.
 * An older one is found missing by what follows it.
 */
function isNews({ fate, wasUnknown, isNewest, conversation, seq }: QueuedSend, heads: KnownHeads): boolean {
  if (fate !== 'duplicate') return fate === 'stored'
  return wasUnknown === true || (isNewest === true && seq > heads.of(conversation))
}
