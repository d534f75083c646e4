import { dropOldest } from '../lib/drop-oldest.ts'
import type { QueuedSend } from './send-queue.ts'
import type { CommitError, CommitPath } from './store.ts'

/** Batches of a conversation, since its last duplicate, for which its ids are looked up: one resend announces more. */
const SUSPECTED_BATCHES = 8
/** Conversations suspected at a time; the one whose duplicate is the longest ago goes first. */
const MAX_SUSPECTS = 1_000
/** Two failures for duplicates within so many batches are not one client that resends ... */
const ALERT_BATCHES = 16
/** ... so for so many batches every id is looked up. */
const CAREFUL_BATCHES = 8

/**
 * Decides which way a batch goes. A duplicate on the fast path costs a failed COPY, whose rows stay behind as dead ones, so
 * a batch that is likely to hold another goes the careful way: the conversations that lately had one, or, when duplicates come
 * from everywhere as after an outage, all of them. One client that resends costs the conversations of others nothing. The
 * same goes for one that sends where no message is taken.
 */
export class DuplicateWatch {
  /** By conversation, how many of its batches are still looked up. */
  readonly #suspects = new Map<string, number>()
  /** Batches since the last failure for a duplicate that still count as "lately". */
  #alertBatches = 0
  #carefulBatches = 0
  /** The batch under way failed for a duplicate, or for a row that is missing: it is tried again with every id looked up. */
  #hasFailed = false

  pathFor(sends: readonly QueuedSend[]): CommitPath {
    if (this.#hasFailed || this.#carefulBatches > 0) return 'careful'
    if (this.#suspects.size === 0) return 'fast'
    const suspects = new Set<string>()
    for (const { conversation } of sends) if (this.#suspects.has(conversation.key)) suspects.add(conversation.key)
    return suspects.size > 0 ? suspects : 'fast'
  }

  /**
   * Whether the batch is to be tried again at once, on a more careful path: one of its ids was stored before, or a conversation takes
   * no messages, so that each send has to be answered by itself. From the careful path there is none, so this ends.
   */
  failed({ failure, conversations }: CommitError, path: CommitPath, sends: readonly QueuedSend[]): boolean {
    if (path === 'careful') return false
    if (failure === 'duplicate') this.#repeated()
    else if (failure === 'unnumbered') this.#unnumbered(conversations, path, sends)
    else return false
    return true
  }

  /** This batch was committed: its duplicates tell whom to suspect. */
  committed(sends: readonly QueuedSend[], path: CommitPath): void {
    this.#hasFailed = false
    if (this.#alertBatches > 0) this.#alertBatches -= 1
    if (path === 'fast') return
    if (path === 'careful') this.#carefulBatches = Math.max(0, this.#carefulBatches - 1)
    this.#clear(sends)
    for (const send of sends) if (isRepeated(send)) this.#suspect(send.conversation.key)
  }

  #repeated(): void {
    if (this.#alertBatches > 0) this.#carefulBatches = CAREFUL_BATCHES
    this.#alertBatches = ALERT_BATCHES
    this.#hasFailed = true
  }

  /**
   * A closed conversation fails by what is sent there, and then that is looked up. One of which nothing is sent has no row any
   * more, which only a batch that is looked up as a whole finds out.
   */
  #unnumbered(keys: ReadonlySet<string>, path: CommitPath, sends: readonly QueuedSend[]): void {
    const closed = sends.filter(({ conversation }) => keys.has(conversation.key))
    for (const { conversation } of closed) this.#suspect(conversation.key)
    this.#hasFailed = path !== 'fast' || closed.length === 0
  }

  /** One batch less for each suspect that was in this one. */
  #clear(sends: readonly QueuedSend[]): void {
    for (const key of new Set(sends.map(({ conversation }) => conversation.key))) {
      const left = this.#suspects.get(key)
      if (left === undefined) continue
      if (left > 1) this.#suspects.set(key, left - 1)
      else this.#suspects.delete(key)
    }
  }

  #suspect(key: string): void {
    this.#suspects.delete(key)
    this.#suspects.set(key, SUSPECTED_BATCHES)
    dropOldest(this.#suspects, MAX_SUSPECTS)
  }
}

/** By its client, or as useless. A send of unknown outcome was repeated by the writer itself. */
function isRepeated({ fate, wasUnknown }: QueuedSend): boolean {
  return fate === 'conflict' || fate === 'closed' || (fate === 'duplicate' && !wasUnknown)
}
