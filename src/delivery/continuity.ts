import type { Clock } from '../lib/clock.ts'
import type { UserId } from '../protocol/message.ts'
import type { KnownOfHole } from './recipient.ts'

/** `isUnsure`: what is below this message may be missing. */
type Push = (isUnsure: boolean) => void

/** What was pushed of a conversation: everything between the two, and what came late from below. */
interface Pushed {
  from: number
  to: number
  late: Set<number> | undefined
  /** What came too early waits here for `to + 1`. */
  gap: Gap | undefined
  /** Nothing is missing from before `from`: a look has found what was committed there since the user came. */
  isComplete: boolean
}

/** A user of whom somebody is here; both maps go by the other person of a conversation. */
interface Here {
  readonly sinceMs: number
  /** Of conversations that had lately changed: what the user had acknowledged on coming. */
  readonly acknowledged: Map<UserId, number>
  readonly pushed: Map<UserId, Pushed>
}

/** What may have been lost before the first push of a conversation: what came since, or, where it is known, after a seq. */
export interface Unsure {
  readonly sinceMs: number
  readonly acknowledgedSeq: number | undefined
}

interface Gap {
  readonly held: Map<number, Push>
  readonly cancel: () => void
}

/** How long a message that came too early waits for the one before it, which may be on its way over another connection. */
const REORDER_WAIT_MS = 200

export interface ContinuityOptions {
  readonly clock: Clock
  /** Of this conversation messages from `fromSeq` on did not come: replay them to the user's connections. */
  replay(user: UserId, other: UserId, fromSeq: number, known: KnownOfHole): void
}

/**
 * Knows, for every user connected here, up to which seq each conversation has been pushed without a hole. Messages come from
 * this instance's own commits and from other instances over Redis, so they may come twice, late, in another order, or not
 * at all; what leaves here is without repeat and, but for what was under way when the user came, in order; and every hole is
 * replayed from the store.
 */
export class Continuity {
  readonly #options: ContinuityOptions
  readonly #here = new Map<UserId, Here>()

  constructor(options: ContinuityOptions) {
    this.#options = options
  }

  /** True when nobody of this user was here before. */
  joined(user: UserId): boolean {
    if (this.#here.has(user)) return false
    this.#here.set(user, { sinceMs: this.#options.clock.now(), acknowledged: new Map(), pushed: new Map() })
    return true
  }

  /** When the user came everything up to this seq was acknowledged: it is not missing. */
  hadAcknowledged(user: UserId, other: UserId, seq: number): void {
    this.#here.get(user)?.acknowledged.set(other, seq)
  }

  /** Nobody of this user is here any more: whatever comes is none of our business, and what was known grows stale. */
  left(user: UserId): void {
    for (const pushed of this.#here.get(user)?.pushed.values() ?? []) closeGap(pushed)
    this.#here.delete(user)
  }

  /** As long as it is not known whether anything was lost before the first push of this conversation. */
  unsure(user: UserId, other: UserId): Unsure | undefined {
    const here = this.#here.get(user)
    if (!here || here.pushed.get(other)?.isComplete) return undefined
    return { sinceMs: here.sinceMs, acknowledgedSeq: here.acknowledged.get(other) }
  }

  /** Pushes the message when it is its turn: now, a little later, or never when it was pushed before. */
  offer(user: UserId, other: UserId, seq: number, push: Push): void {
    const here = this.#here.get(user)
    if (!here) return
    const pushed = here.pushed.get(other)
    if (!pushed) {
      // What is below the first since the user came may be on its way over another connection, or lost: `late`, `compare`.
      here.pushed.set(other, { from: seq, to: seq, late: undefined, gap: undefined, isComplete: false })
      push(seq > (here.acknowledged.get(other) ?? 0) + 1)
    } else if (seq === pushed.to + 1) {
      pushed.to = seq
      push(false)
      if (pushed.gap) release(pushed, pushed.gap)
    } else if (seq > pushed.to) {
      pushed.gap ??= this.#openGap(user, other, pushed)
      pushed.gap.held.set(seq, push)
    } else if (seq < pushed.from) {
      this.#late(pushed, seq, push)
    }
  }

  /**
   * The store's head of a conversation, and the first seq that the user's connections may lack: what was committed between the
   * two and not pushed is replayed.
   */
  compare(user: UserId, other: UserId, head: number, fromSeq: number): boolean {
    const known = this.#here.get(user)?.pushed
    if (!known) return false
    const pushed = known.get(other)
    const hasHoleBelow = pushed === undefined || fromSeq < pushed.from
    const firstMissing = hasHoleBelow ? fromSeq : pushed.to + 1
    if (firstMissing > head) return false
    // What waits is committed too, so the replay brings it.
    const to = Math.max(head, pushed?.to ?? 0, ...(pushed?.gap?.held.keys() ?? []))
    const from = Math.min(fromSeq, pushed?.from ?? fromSeq)
    if (pushed) closeGap(pushed)
    known.set(other, { from, to, late: pushed?.late, gap: undefined, isComplete: pushed?.isComplete ?? false })
    this.#options.replay(user, other, firstMissing, { head: to, pushed })
    return true
  }

  /** Whatever was committed since the user came, up to this head, was part of a comparison. */
  compared(user: UserId, other: UserId, head: number): void {
    const pushed = this.#here.get(user)?.pushed.get(other)
    // A head from before the first push says nothing of what was committed between the two.
    if (pushed && head >= pushed.from - 1) pushed.isComplete = true
  }

  /** Below the first that was pushed: its order is lost, but it is not. */
  #late(pushed: Pushed, seq: number, push: Push): void {
    pushed.late ??= new Set()
    if (pushed.late.has(seq)) return
    pushed.late.add(seq)
    push(false)
    while (pushed.late.delete(pushed.from - 1)) pushed.from -= 1
  }

  #openGap(user: UserId, other: UserId, pushed: Pushed): Gap {
    const held = new Map<number, Push>()
    const cancel = this.#options.clock.after(REORDER_WAIT_MS, () => {
      this.compare(user, other, Math.max(...held.keys()), pushed.from)
    })
    return { held, cancel }
  }
}

/** Pushes what was waiting for the last push. */
function release(pushed: Pushed, { held }: Gap): void {
  for (let push = held.get(pushed.to + 1); push; push = held.get(pushed.to + 1)) {
    pushed.to += 1
    held.delete(pushed.to)
    push(false)
  }
  if (held.size === 0) closeGap(pushed)
}

function closeGap(pushed: Pushed): void {
  pushed.gap?.cancel()
  pushed.gap = undefined
}
