import type { Clock } from '../lib/clock.ts'
import type { Address } from '../messages/conversation.ts'
import type { UserId } from '../protocol/message.ts'
import type { KnownOfHole, Replied } from './recipient.ts'

/** A message that is to be pushed once. */
export interface Offer {
  readonly seq: number
  /** The connection that sent it, if that is one of the user's: it has the reply. */
  readonly asker: object | undefined
  /** `mayLackBelow`: something below this message may be missing. */
  push(mayLackBelow: boolean): void
}

/** What was pushed of a conversation: everything from `from` to `to`, and what came late from below. */
interface Pushed {
  from: number
  to: number
  late: Set<number> | undefined
  /** Messages that came too early wait here for `to + 1`. */
  gap: Gap | undefined
  /** Nothing is missing below `from`: a look has found what was committed there since the user came. */
  isComplete: boolean
}

interface Gap {
  readonly held: Map<number, Offer>
  readonly cancel: () => void
}

/** A user with a connection to this instance. */
interface Here {
  /** By the store's clock, no later than the user came. */
  readonly sinceMs: number
  /** What the user had acknowledged on coming, of conversations that had changed lately. */
  readonly acknowledged: Map<Address, number>
  /** The conversation that was pushed longest ago comes first, once there are many. */
  readonly pushed: Map<Address, Pushed>
}

/** From where on something may be missing before the first push of a conversation: from a time on, or after a seq if one is known. */
export interface Unsure {
  readonly sinceMs: number
  readonly acknowledgedSeq: number | undefined
}

/** How long a message that came too early waits for the one before it, which may be on its way over another connection. */
const REORDER_WAIT_MS = 200
/** Conversations of one user beyond which those that were pushed longest ago are forgotten. */
export const MAX_CONVERSATIONS = 10_000
/** Of so many of the oldest the first that may be forgotten is; the others wait for a message, or for the next look. */
const FORGETTABLE_AMONG = 100

export interface ContinuityOptions {
  readonly clock: Clock
  /** Messages of this conversation from `fromSeq` on did not come: replay them to the user's connections. */
  replay(user: UserId, address: Address, fromSeq: number, known: KnownOfHole): void
}

/**
 * Knows, for every user who is connected here, up to which seq each conversation has been pushed without a hole. Messages come
 * from this instance's own commits and from other instances over Redis. They may come twice, late, in another order, or not at
 * all. Pushes leave here without a repeat and in order (but for what was under way when the user came), and every hole is
 * replayed from the store.
 *
 * One conversation, of which 5, 7, 6 and 9 come in this order, and 8 never:
 *
 *   comes            pushed     known then        why
 *   5                5          5–5               the first since the user came; a look finds what is missing below it
 *   7                           5–5, holds 7      6 may be on its way over another connection
 *   6                6, 7       5–7               it was
 *   6 again                     5–7               a repeat
 *   9                           5–7, holds 9
 *   200 ms pass      (replay)   5–9               8 was lost: everything from 8 on is replayed from the store, 9 with it
 *   look: head 10    (replay)   5–10              10 was lost, and nothing came after it that would have told
 *   4                4          4–10              late, from below: its order is lost, but the message is not
 */
export class Continuity {
  readonly #options: ContinuityOptions
  readonly #here = new Map<UserId, Here>()

  constructor(options: ContinuityOptions) {
    this.#options = options
  }

  /** True for a user's first connection here. `sinceMs`, by the store's clock, is no later than now. */
  joined(user: UserId, sinceMs: number): boolean {
    if (this.#here.has(user)) return false
    this.#here.set(user, { sinceMs, acknowledged: new Map(), pushed: new Map() })
    return true
  }

  /** When the user came everything up to this seq was acknowledged: it is not missing. */
  hadAcknowledged(user: UserId, address: Address, seq: number): void {
    const acknowledged = this.#here.get(user)?.acknowledged
    if (acknowledged && acknowledged.size < MAX_CONVERSATIONS) acknowledged.set(address, seq)
  }

  /** The user's last connection has gone: what was known of it grows stale. */
  left(user: UserId): void {
    for (const pushed of this.#here.get(user)?.pushed.values() ?? []) closeGap(pushed)
    this.#here.delete(user)
  }

  /** The numbers of the store are no longer those that were known: it was set back, or is another one. */
  forget(): void {
    for (const { pushed, acknowledged } of this.#here.values()) {
      for (const one of pushed.values()) closeGap(one)
      pushed.clear()
      acknowledged.clear()
    }
  }

  /** As long as it is not known whether anything was lost before the first push of this conversation. */
  unsure(user: UserId, address: Address): Unsure | undefined {
    const here = this.#here.get(user)
    if (!here || here.pushed.get(address)?.isComplete) return undefined
    return { sinceMs: here.sinceMs, acknowledgedSeq: here.acknowledged.get(address) }
  }

  /** Pushes the message when it is its turn: now, a little later, or never when it was pushed before. */
  offer(user: UserId, address: Address, message: Offer): void {
    const { seq } = message
    const here = this.#here.get(user)
    if (!here) return
    const pushed = here.pushed.get(address)
    if (!pushed) {
      // What is below may be on its way over another connection (then it comes late), or lost (then a look finds it).
      remember(here, address, { from: seq, to: seq, late: undefined, gap: undefined, isComplete: false })
      message.push(seq > (here.acknowledged.get(address) ?? 0) + 1)
    } else if (seq === pushed.to + 1) {
      pushed.to = seq
      touch(here, address, pushed)
      message.push(false)
      if (pushed.gap) release(pushed, pushed.gap)
    } else if (seq > pushed.to) {
      pushed.gap ??= this.#openGap(user, address, pushed)
      pushed.gap.held.set(seq, message)
    } else if (seq < pushed.from) {
      late(pushed, message)
    }
  }

  /**
   * The store holds this conversation up to `head`, and the user's connections may lack it from `fromSeq` on: what was
   * committed between the two and not pushed is replayed. True when there was something.
   */
  compare(user: UserId, address: Address, head: number, fromSeq: number): boolean {
    const here = this.#here.get(user)
    if (!here) return false
    const pushed = here.pushed.get(address)
    const hasHoleBelow = pushed === undefined || fromSeq < pushed.from
    const firstMissing = hasHoleBelow ? fromSeq : pushed.to + 1
    if (firstMissing > head) return false
    // What waits is committed too, so the replay brings it.
    const held = pushed?.gap?.held
    const to = Math.max(head, pushed?.to ?? 0, ...(held?.keys() ?? []))
    const from = Math.min(fromSeq, pushed?.from ?? fromSeq)
    if (pushed) closeGap(pushed)
    const isComplete = pushed?.isComplete ?? false
    // Those within are as any others from here on.
    const late = pushed?.late && new Set([...pushed.late].filter((seq) => seq < from))
    remember(here, address, { from, to, late, gap: undefined, isComplete })
    this.#options.replay(user, address, firstMissing, {
      ...{ head: to, pushed, late: pushed?.late },
      replied: held && repliedIn(held),
    })
    return true
  }

  /** Everything that was committed since the user came, up to this head, was part of a comparison. */
  compared(user: UserId, address: Address, head: number): void {
    const pushed = this.#here.get(user)?.pushed.get(address)
    // A head from before the first push says nothing of what was committed between the two.
    if (pushed && head >= pushed.from - 1) pushed.isComplete = true
  }

  #openGap(user: UserId, address: Address, pushed: Pushed): Gap {
    const held = new Map<number, Offer>()
    const cancel = this.#options.clock.after(REORDER_WAIT_MS, () => {
      this.compare(user, address, Math.max(...held.keys()), pushed.from)
    })
    return { held, cancel }
  }
}

function remember(here: Here, address: Address, pushed: Pushed): void {
  here.pushed.set(address, pushed)
  if (here.pushed.size > MAX_CONVERSATIONS) forgetOldest(here)
}

/** Only for those who have many conversations: most users never come near the limit. */
function touch({ pushed: all }: Here, address: Address, pushed: Pushed): void {
  if (all.size <= MAX_CONVERSATIONS / 2) return
  all.delete(address)
  all.set(address, pushed)
}

/**
 * A conversation without a hole says nothing that the last look did not. Its next message is a first push again, and the next
 * look finds what was lost in between; by the time, for what was acknowledged long ago would bring all that followed again.
 */
function forgetOldest({ pushed, acknowledged }: Here): void {
  let left = FORGETTABLE_AMONG
  for (const [address, { isComplete, gap }] of pushed) {
    if (isComplete && !gap) {
      pushed.delete(address)
      acknowledged.delete(address)
      return
    }
    left -= 1
    if (left === 0) return
  }
}

/** Below the first that was pushed. */
function late(pushed: Pushed, message: Offer): void {
  const { seq } = message
  pushed.late ??= new Set()
  if (pushed.late.has(seq)) return
  pushed.late.add(seq)
  message.push(false)
  while (pushed.late.delete(pushed.from - 1)) pushed.from -= 1
}

/** Pushes what was waiting for the last push. */
function release(pushed: Pushed, { held }: Gap): void {
  for (let next = held.get(pushed.to + 1); next; next = held.get(pushed.to + 1)) {
    pushed.to += 1
    held.delete(pushed.to)
    next.push(false)
  }
  if (held.size === 0) closeGap(pushed)
}

function repliedIn(held: ReadonlyMap<number, Offer>): Replied[] {
  return [...held].flatMap(([seq, { asker }]) => (asker ? [{ seq, asker }] : []))
}

function closeGap(pushed: Pushed): void {
  pushed.gap?.cancel()
  pushed.gap = undefined
}
