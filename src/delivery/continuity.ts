import type { Clock } from '../lib/clock.ts'
import type { UserId } from '../protocol/message.ts'

type Push = () => void

interface Gap {
  readonly held: Map<number, Push>
  readonly cancel: () => void
}

/** How long a message that came too early waits for the one before it, which may be on its way over another connection. */
const REORDER_WAIT_MS = 200

export interface ContinuityOptions {
  readonly clock: Clock
  /** The messages of this conversation from `fromSeq` on did not come: replay them to the user's connections. */
  replay(user: UserId, other: UserId, fromSeq: number): void
}

/**
 * Knows, for every user connected here, up to which seq each conversation has been pushed without a hole. Messages come from
 * this instance's own commits and from other instances over Redis, so they may come twice, late, in another order, or not
 * at all; what leaves here is in order, without repeat, and every hole is replayed from the store.
 */
export class Continuity {
  readonly #options: ContinuityOptions
  readonly #pushedTo = new Map<UserId, Map<UserId, number>>()
  readonly #gaps = new Map<string, Gap>()

  constructor(options: ContinuityOptions) {
    this.#options = options
  }

  joined(user: UserId): void {
    if (!this.#pushedTo.has(user)) this.#pushedTo.set(user, new Map())
  }

  /** Nobody of this user is here any more: whatever comes is none of our business, and what was known grows stale. */
  left(user: UserId): void {
    for (const other of this.#pushedTo.get(user)?.keys() ?? []) this.#closeGap(user, other)
    this.#pushedTo.delete(user)
  }

  /** Up to where the conversation was pushed; undefined when nothing of it was. */
  pushedTo(user: UserId, other: UserId): number | undefined {
    return this.#pushedTo.get(user)?.get(other)
  }

  /** Pushes the message when it is its turn: now, a little later, or never when it was pushed before. */
  offer(user: UserId, other: UserId, seq: number, push: Push): void {
    const known = this.#pushedTo.get(user)
    if (!known) return
    const last = known.get(other)
    // Of the first message since the user came nothing can be said; the catch-up and the client look further back.
    if (last === undefined || seq === last + 1) {
      known.set(other, seq)
      push()
      if (this.#gaps.size > 0) this.#release(user, other, seq)
    } else if (seq > last) {
      this.#hold(user, other, seq, push)
    }
  }

  /** The store's head of a conversation: if more was committed than pushed, the rest is replayed from `fromSeq` at the latest. */
  compare(user: UserId, other: UserId, head: number, fromSeq: number): boolean {
    const known = this.#pushedTo.get(user)
    if (!known) return false
    const last = known.get(other) ?? fromSeq - 1
    if (last >= head) return false
    this.#closeGap(user, other)
    known.set(other, head)
    this.#options.replay(user, other, last + 1)
    return true
  }

  #hold(user: UserId, other: UserId, seq: number, push: Push): void {
    const key = `${user} ${other}`
    const gap = this.#gaps.get(key)
    if (gap) {
      gap.held.set(seq, push)
      return
    }
    const cancel = this.#options.clock.after(REORDER_WAIT_MS, () => this.#giveUp(user, other))
    this.#gaps.set(key, { held: new Map([[seq, push]]), cancel })
  }

  /** Pushes what was waiting for this seq. */
  #release(user: UserId, other: UserId, seq: number): void {
    const gap = this.#gaps.get(`${user} ${other}`)
    if (!gap) return
    const known = this.#pushedTo.get(user)
    let next = seq + 1
    for (let push = gap.held.get(next); push; push = gap.held.get(next)) {
      gap.held.delete(next)
      known?.set(other, next)
      push()
      next += 1
    }
    if (gap.held.size === 0) this.#closeGap(user, other)
  }

  #giveUp(user: UserId, other: UserId): void {
    const gap = this.#gaps.get(`${user} ${other}`)
    if (gap) this.compare(user, other, Math.max(...gap.held.keys()), 1)
  }

  #closeGap(user: UserId, other: UserId): void {
    const key = `${user} ${other}`
    this.#gaps.get(key)?.cancel()
    this.#gaps.delete(key)
  }
}
