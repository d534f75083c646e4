import type { MessagePlace } from '../delivery/recipient.ts'
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
 * reply tells of it, so the page leaves it out. So it does with what was told before the replay began: a message whose reply was
 * given, and one that was written out of its order.
 */
export class OwnSends {
  #isReplaying = false
  /** Sent since the replay under way began; no more than may be in flight. */
  #unanswered: Set<string> | undefined
  /** Answered since then, the oldest first. */
  #answered: Set<string> | undefined
  /** Seqs that were told before it began, by peer: it began because of a hole below them. */
  #toldBefore: Map<UserId, Set<number>> | undefined
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
    this.#toldBefore = undefined
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

  /** The replay under way goes beyond this message, which was sent here, or written out of its order. */
  toldBefore(peer: UserId, seq: number): void {
    this.#toldBefore ??= new Map()
    const seqs = this.#toldBefore.get(peer) ?? new Set()
    this.#toldBefore.set(peer, seqs.add(seq))
  }

  /** This message was dropped on its way: it is to come again, and all that follows. */
  forgetToldFrom(peer: UserId, from: number): void {
    const seqs = this.#toldBefore?.get(peer)
    for (const seq of seqs ?? []) if (seq >= from) seqs?.delete(seq)
  }

  /** Whether a page is to leave this message out. */
  leavesOut(peer: UserId, id: string, { seq, sender_id, receiver_id }: MessagePlace): boolean {
    if (this.#toldBefore?.get(peer)?.has(seq)) return true
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
    if (this.#answered.size <= MAX_ANSWERED) return
    const oldest = this.#answered.keys().next()
    if (!oldest.done) this.#answered.delete(oldest.value)
  }
}
