import type { Message, UserId } from '../protocol/message.ts'
import type { PagesReader, StoredPages } from './stored-pages.ts'
import { WrittenRanges } from './written-ranges.ts'

/** When it has closed, a replay to it ends. */
export interface ReplayTarget extends PagesReader {
  /** Writes one stored message. */
  replayed(message: Message): void
  /** Resolves when the socket can take another page; never rejects. */
  room(): Promise<void>
  /**
   * Nothing is owed: pushes may go to the socket again. Called in the very turn in which that was found. What a page held
   * may still be on its way as a push, or be found missing by who did not see the replay: `written` says what would be a
   * repeat. It is the target's from here on, to be handed to the next replay.
   */
  upToDate(written: WrittenRanges): void
}

/** The lowest and the highest seq of a conversation that are known to be owed. */
interface Owed {
  readonly from: number
  readonly to: number
}

/**
 * Brings one connection up to date from the store: at connect what its user has not acknowledged, and whenever live pushes
 * had to be dropped what it is owed. While a replay is under way live messages are only noted as owed, by conversation, lowest
 * and highest seq; so memory is bounded by the number of conversations, and each conversation reaches the socket in order of
 * `seq` without a hole and without a repeat. Only what is owed late from below where it began comes after what is above.
 */
export class Replay {
  readonly #pages: StoredPages
  readonly #target: ReplayTarget
  readonly #owed = new Map<UserId, Owed>()
  /** Conversations of which it is to be looked up what the user has not acknowledged. */
  readonly #unsure = new Set<UserId>()
  readonly #written: WrittenRanges

  /** `written`: what is known to have been written to the same target before. */
  constructor(pages: StoredPages, target: ReplayTarget, written = new WrittenRanges()) {
    this.#pages = pages
    this.#target = target
    this.#written = written
  }

  /** This message of the conversation, and whatever else of it is noted, is to be replayed. */
  owe(other: UserId, seq: number): void {
    this.#note(other, seq, seq)
  }

  /** Everything of the conversation from this seq on, as far as it is stored now: a page that is being read may be older. */
  oweFrom(other: UserId, seq: number): void {
    this.#note(other, seq, Number.MAX_SAFE_INTEGER)
  }

  /** As `owe`, for a message that was written but did not get through. */
  lost(other: UserId, seq: number): void {
    this.#written.takeBack(other, seq)
    this.owe(other, seq)
  }

  /** What the user has not acknowledged of this conversation, to be looked up before anything more is written. */
  oweUnacknowledged(other: UserId): void {
    this.#unsure.add(other)
  }

  /** What the user has not acknowledged, of all conversations or of these. */
  async oweBacklog(only?: ReadonlySet<UserId>): Promise<void> {
    for (const { with: other, deliveredSeq, lastSeq } of (await this.#pages.backlog(this.#target)) ?? []) {
      // Not its first alone: that may have been written before, and what follows it not.
      if (only?.has(other) ?? true) this.#note(other, deliveredSeq + 1, lastSeq)
    }
  }

  async run(): Promise<void> {
    while (this.#target.isOpen) {
      const next = this.#owed.entries().next()
      if (this.#unsure.size > 0) await this.#lookUpUnsure()
      else if (next.done) return this.#target.upToDate(this.#written)
      else await this.#replayPage(next.value[0], next.value[1].from)
    }
  }

  async #lookUpUnsure(): Promise<void> {
    const unsure = new Set(this.#unsure)
    this.#unsure.clear()
    await this.oweBacklog(unsure)
  }

  #note(other: UserId, from: number, to: number): void {
    const missing = this.#written.firstMissing(other, from)
    if (missing > to) return
    const known = this.#owed.get(other) ?? { from: missing, to }
    this.#owed.set(other, { from: Math.min(known.from, missing), to: Math.max(known.to, to) })
  }

  async #replayPage(other: UserId, from: number): Promise<void> {
    this.#owed.delete(other)
    await this.#target.room()
    const page = await this.#pages.after(this.#target, other, from - 1)
    if (!page) return
    const { messages, hasMore } = page
    const noted = this.#owed.get(other)
    // Something below this page was lost meanwhile, or came late, and has to come first.
    if (noted && noted.from < from) return
    // What was noted and is in the page is about to be sent; what is lost while it is being sent is owed again.
    this.#owed.delete(other)
    this.#write(other, from, messages)
    const last = messages.at(-1)?.seq ?? from - 1
    // Not `owe`: when what follows the page was written before, there may be more behind it.
    if (hasMore || (noted && noted.to > last)) this.oweFrom(other, last + 1)
  }

  /** All of a page that begins at `from`, but for what was written before. */
  #write(other: UserId, from: number, messages: readonly Message[]): void {
    const last = messages.at(-1)
    if (!last) return
    const missing = messages.filter(({ seq }) => !this.#written.has(other, seq))
    // The seqs of a conversation are committed in their order, as each is taken under its lock: a page that holds one holds
    // all between it and its own start, and none of these can be committed later.
    // Noted before the first is written: what is lost in the very call that writes it is taken back from this.
    this.#written.add(other, from, last.seq)
    for (const message of missing) this.#target.replayed(message)
  }
}
