import type { Message, UserId } from '../protocol/message.ts'
import type { StoredPages } from './stored-pages.ts'

export interface ReplayTarget {
  readonly userId: UserId
  /** Whether the connection still exists; a replay for a closed one ends. */
  readonly isOpen: boolean
  /** Writes one stored message. */
  replayed(message: Message): void
  /** Resolves when the socket can take another page; never rejects. */
  room(): Promise<void>
  /**
   * Nothing is owed: pushes may go to the socket again. Called in the very turn in which that was found. What a page held
   * may still be on its way as a push: `sentTo` says, by conversation, up to where pushes would be repeats.
   */
  upToDate(sentTo: Map<UserId, number>): void
}

/**
 * Brings one connection up to date from the store: at connect what its user has not acknowledged, and whenever live pushes
 * had to be dropped what it is owed. While a replay is under way live messages are only noted as owed, by conversation and
 * lowest seq; so memory is bounded by the number of conversations, and each conversation reaches the socket in order of
 * `seq` without a hole and without a repeat.
 */
export class Replay {
  readonly #pages: StoredPages
  readonly #target: ReplayTarget
  readonly #owedFrom = new Map<UserId, number>()
  readonly #sentTo = new Map<UserId, number>()

  constructor(pages: StoredPages, target: ReplayTarget) {
    this.#pages = pages
    this.#target = target
  }

  /** Everything of the conversation from this seq on is to be replayed. */
  owe(other: UserId, seq: number): void {
    if (seq <= (this.#sentTo.get(other) ?? 0)) return
    this.#owedFrom.set(other, Math.min(seq, this.#owedFrom.get(other) ?? seq))
  }

  /** As `owe`, for a message that was written but did not get through. */
  lost(other: UserId, seq: number): void {
    if (seq <= (this.#sentTo.get(other) ?? 0)) this.#sentTo.set(other, seq - 1)
    this.owe(other, seq)
  }

  /** What the user has not acknowledged. */
  async oweBacklog(): Promise<void> {
    for (const { with: other, deliveredSeq } of await this.#pages.backlog(this.#target.userId)) {
      this.owe(other, deliveredSeq + 1)
    }
  }

  async run(): Promise<void> {
    for (;;) {
      const next = this.#owedFrom.entries().next()
      if (!this.#target.isOpen) return
      if (next.done) return this.#target.upToDate(this.#sentTo)
      await this.#replayPage(...next.value)
    }
  }

  async #replayPage(other: UserId, from: number): Promise<void> {
    this.#owedFrom.delete(other)
    await this.#target.room()
    const { messages, hasMore } = await this.#pages.after(this.#target.userId, other, from - 1)
    for (const message of messages) {
      this.#sentTo.set(other, message.seq)
      this.#target.replayed(message)
    }
    const last = messages.at(-1)?.seq ?? from
    const owed = this.#owedFrom.get(other)
    // What was noted meanwhile and has just been sent is no longer owed.
    if (owed !== undefined && owed <= last) this.#owedFrom.delete(other)
    if (hasMore || (owed !== undefined && owed > last)) this.owe(other, last + 1)
  }
}
