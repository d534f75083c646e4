import { dropOldest } from '../lib/drop-oldest.ts'
import { type Conversation, conversationOf } from './conversation.ts'

/** Conversations kept; the one known for the longest goes first, and is back with its next message. */
const MAX_KNOWN = 100_000

/** A head of a server that was lost, not yet compared with what answers now. */
export interface DoubtedHead {
  readonly conversation: Conversation
  readonly seq: number
  /** How many servers were lost before it was handed out. */
  readonly losses: number
}

export interface HeadsListener {
  /** A conversation of the store is shorter than it was known to be: the store was set back. */
  behind(): void
  /** So it seems, but what was read may be older than what is known: to be compared. */
  suspected(): void
}

/**
 * The highest seq of each conversation that this process has seen committed: a lower bound of its head, so an
 * acknowledgement at or below it is valid without asking the database.
 *
 * That holds for one line of history. Heads of a server that was lost are doubted: they are no bound any more, but a
 * database that has less than one of them was set back. A doubt that has passed leaves the head known: the database may be set
 * back right after it, as by an operator who ends all sessions first.
 */
export class KnownHeads {
  #heads = new Map<string, number>()
  #doubted = new Map<string, number>()
  #losses = 0
  #line = 0
  #listener: HeadsListener | undefined

  listen(listener: HeadsListener): void {
    this.#listener = listener
  }

  /** Counts the lines of history: what was found out, or asked for, in another one than the present says nothing of this one. */
  get line(): number {
    return this.#line
  }

  of(conversation: Conversation): number {
    return this.#heads.get(conversation.key) ?? 0
  }

  saw({ key }: Conversation, seq: number): void {
    const known = this.#heads.get(key)
    if (known !== undefined && known >= seq) return
    this.#heads.set(key, seq)
    if (known === undefined) dropOldest(this.#heads, MAX_KNOWN)
  }

  /**
   * The head that the store has while it holds the conversation's lock: nothing above it can have been committed. False when
   * more was known to be: the store was set back, and its numbers are not those that others go by.
   */
  locked(conversation: Conversation, head: number): boolean {
    const doubted = this.#doubted.size > 0 ? (this.#doubted.get(conversation.key) ?? 0) : 0
    const isBehind = head < Math.max(doubted, this.of(conversation))
    if (isBehind) this.#listener?.behind()
    else if (doubted > 0) this.#holds(conversation, head)
    return !isBehind
  }

  /** A head that was read. What was committed while it was on its way may be known here already. */
  read(conversation: Conversation, head: number): void {
    const seq = this.#doubted.get(conversation.key)
    if (seq !== undefined && head < seq) {
      // To the end, where those stand that are compared first.
      this.#doubted.delete(conversation.key)
      this.#doubted.set(conversation.key, seq)
      this.#listener?.suspected()
    }
    if (head > 0) this.saw(conversation, head)
  }

  /** What answers next may be another server. */
  doubt(): void {
    this.#losses += 1
    const lost = this.#heads
    this.#heads = new Map()
    if (this.#doubted.size === 0) {
      this.#doubted = lost
      return
    }
    for (const [key, seq] of lost) {
      this.#doubted.set(key, Math.max(seq, this.#doubted.get(key) ?? 0))
      dropOldest(this.#doubted, MAX_KNOWN)
    }
  }

  /** Heads to be compared with what the store has now; of more than so many the latest. */
  doubted(max: number): DoubtedHead[] {
    const losses = this.#losses
    return [...this.#doubted].slice(-max).map(([key, seq]) => ({ conversation: conversationOf(key), seq, losses }))
  }

  /** The head that the store had some time after this one was doubted. A server that was lost since says nothing of the next. */
  compared({ conversation, seq, losses }: DoubtedHead, head: number): void {
    if (head < seq) this.#listener?.behind()
    else if (losses === this.#losses) this.#holds(conversation, head)
  }

  /** Nothing that was known is true any more. */
  forget(): void {
    this.#line += 1
    this.#heads = new Map()
    this.#doubted = new Map()
  }

  #holds(conversation: Conversation, head: number): void {
    this.#doubted.delete(conversation.key)
    this.saw(conversation, head)
  }
}
