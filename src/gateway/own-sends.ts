import type { MessagePlace } from '../delivery/recipient.ts'
import { dropOldest } from '../lib/drop-oldest.ts'
import { MAX_SENDS_IN_FLIGHT } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'

/**
 * Answered sends kept while a replay lasts. What was sent before the last thousand may come as a push as well, which the
 * contract allows: a client drops it by its `seq`.
 */
const MAX_ANSWERED = 4 * MAX_SENDS_IN_FLIGHT

/** An id names a message in its conversation only. */
const keyOf = (peer: UserId, id: string): string => `${id} ${peer}`

/**
 * What this connection sends while it is being replayed to. A page may hold such a message before or after its reply; the
 * reply tells of it, so the page leaves it out.
 */
export class OwnSends {
  #isReplaying = false
  /** Sent since the replay under way began; no more than may be in flight. */
  #unanswered: Set<string> | undefined
  /** Answered since then, the oldest first. */
  #answered: Set<string> | undefined
  /** What a replay left out for a reply that is still to come. */
  #leftOut: Map<string, MessagePlace> | undefined

  replayBegins(): void {
    this.#isReplaying = true
  }

  /** What it left out stays noted until its reply is given. */
  replayEnds(): void {
    this.#isReplaying = false
    this.#unanswered = undefined
    this.#answered = undefined
  }

  /** A send with this id to that person is on its way; `answered` follows. */
  sending(peer: UserId, id: string): void {
    if (!this.#isReplaying) return
    this.#unanswered ??= new Set()
    this.#unanswered.add(keyOf(peer, id))
  }

  /**
   * A resend may be refused although the message was stored before. Returns what a replay left out for a reply that now does
   * not tell of it.
   */
  answered(peer: UserId, id: string, isStored: boolean): MessagePlace | undefined {
    if (!this.#isReplaying && !this.#leftOut) return undefined
    const key = keyOf(peer, id)
    this.#unanswered?.delete(key)
    if (isStored && this.#isReplaying) this.#noteAnswered(key)
    const leftOut = this.#leftOut?.get(key)
    this.#leftOut?.delete(key)
    return isStored ? undefined : leftOut
  }

  /** Whether a page is to leave this message out. */
  leavesOut(peer: UserId, id: string, { seq, sender_id, receiver_id }: MessagePlace): boolean {
    if (!this.#unanswered && !this.#answered) return false
    const key = keyOf(peer, id)
    if (this.#answered?.has(key)) return true
    if (!this.#unanswered?.has(key)) return false
    this.#leftOut ??= new Map()
    this.#leftOut.set(key, { seq, sender_id, receiver_id })
    return true
  }

  #noteAnswered(key: string): void {
    this.#answered ??= new Set()
    this.#answered.add(key)
    dropOldest(this.#answered, MAX_ANSWERED)
  }
}
