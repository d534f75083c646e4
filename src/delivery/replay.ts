import type { Address } from '../messages/conversation.ts'
import type { Message } from '../protocol/message.ts'
import type { PagesReader, StoredPages } from './stored-pages.ts'
import type { SeqRange, WrittenRanges } from './written-ranges.ts'

/** When it has closed, a replay to it ends. */
export interface ReplayTarget extends PagesReader {
  /** What follows came from the store, in the order of its seqs, up to this message. */
  willReplayUpTo(last: Message): void
  /** Writes one stored message. */
  replayed(message: Message): void
  /** Resolves when the socket can take another page; never rejects. */
  room(): Promise<void>
  /** Whether nothing of what was written can be dropped any more. */
  readonly keepsAll: boolean
  /** Everything is brought: pushes may go to the socket again. Called in the very turn in which that was found. */
  upToDate(): void
}

const EVERYTHING = Number.MAX_SAFE_INTEGER

/**
 * Brings one connection up to date from the store: at connect what its user has not acknowledged, and whenever live pushes
 * had to be dropped what it lacks. While a replay is under way live messages are only noted, by conversation, lowest and
 * highest seq; so memory is bounded by the number of conversations, and each conversation reaches the socket in order of
 * `seq` without a hole and without a repeat. Only what is noted late from below where it began comes after what is above.
 */
export class Replay {
  readonly #pages: StoredPages
  readonly #target: ReplayTarget
  readonly #written: WrittenRanges
  /** By conversation, the lowest and the highest seq that are known to be lacking. */
  readonly #toBring = new Map<Address, SeqRange>()
  /** Conversations of which something was lacking since it began. */
  readonly #lacked = new Set<Address>()
  /** Conversations of which it is to be looked up what the user has not acknowledged. */
  readonly #toLookUp = new Set<Address>()

  /**
   * `written`: what is known to have been written to the target, and is added to here. What a page held may still be on its way
   * as a push, or be found missing by a look that does not know of the replay: then it says what would be a repeat.
   */
  constructor(pages: StoredPages, target: ReplayTarget, written: WrittenRanges) {
    this.#pages = pages
    this.#target = target
    this.#written = written
  }

  /**
   * What of these seqs of a conversation is not known to be written. Without `to`: as far as it is stored when it is read, and
   * not only when a page that is being read now was.
   */
  bring(address: Address, from: number, to = EVERYTHING): void {
    const missing = this.#written.firstMissing(address, from)
    if (missing > to) return
    this.#lacked.add(address)
    const known = this.#toBring.get(address) ?? { from: missing, to }
    this.#toBring.set(address, { from: Math.min(known.from, missing), to: Math.max(known.to, to) })
  }

  /** What the user has not acknowledged of this conversation, to be looked up before anything more is written. */
  bringUnacknowledged(address: Address): void {
    this.#lacked.add(address)
    this.#toLookUp.add(address)
  }

  /** Whether it brings, or has brought, anything of this conversation: what was pushed of it meanwhile was only noted. */
  isAbout(address: Address): boolean {
    return this.#lacked.has(address)
  }

  /**
   * What the user has not acknowledged, of all conversations or of these. Resolves with when that was looked up, by the store's
   * clock; undefined when the target has closed.
   */
  async bringBacklog(only?: ReadonlySet<Address>): Promise<number | undefined> {
    const backlog = await this.#pages.backlog(this.#target)
    for (const { with: address, deliveredSeq, lastSeq } of backlog?.found ?? []) {
      // Not its first alone: that may have been written before, and what follows it not.
      if (only?.has(address) ?? true) this.bring(address, deliveredSeq + 1, lastSeq)
    }
    return backlog?.asOfMs
  }

  async run(): Promise<void> {
    while (this.#target.isOpen) {
      const next = this.#toBring.entries().next()
      if (this.#toLookUp.size > 0) await this.#lookUp()
      else if (next.done) return this.#target.upToDate()
      else if (await this.#replayPage(next.value[0], next.value[1].from)) return
    }
  }

  async #lookUp(): Promise<void> {
    const addresses = new Set(this.#toLookUp)
    this.#toLookUp.clear()
    await this.bringBacklog(addresses)
  }

  /** Resolves with whether it was the last one and the target was told so. */
  async #replayPage(address: Address, from: number): Promise<boolean> {
    this.#toBring.delete(address)
    await this.#target.room()
    const page = await this.#pages.after(this.#target, address, from - 1)
    if (!page) return false
    const { messages, hasMore } = page
    const noted = this.#toBring.get(address)
    // Something below this page was dropped meanwhile, or came late, and has to come first.
    if (noted && noted.from < from) return false
    // What was noted and is in the page is about to be sent; what is dropped while it is being sent is noted again.
    this.#toBring.delete(address)
    this.#write(address, from, messages)
    const last = messages.at(-1)?.seq ?? from - 1
    // To the end: when what follows the page was written before, there may be more behind it.
    if (hasMore || (noted && noted.to > last)) this.bring(address, last + 1)
    return this.#hasEnded()
  }

  /**
   * Ends in the call that wrote the last page, so that what the target says then leaves in the same write: a system call less
   * at either end for each who reconnects. Where something may yet be dropped, which the write itself finds out, it comes first.
   */
  #hasEnded(): boolean {
    const { isOpen, keepsAll } = this.#target
    if (!isOpen || !keepsAll || this.#toBring.size > 0 || this.#toLookUp.size > 0) return false
    this.#target.upToDate()
    return true
  }

  /** All of a page that begins at `from`, but for what was written before. */
  #write(address: Address, from: number, messages: readonly Message[]): void {
    const last = messages.at(-1)
    if (!last) return
    const missing = messages.filter(({ seq }) => !this.#written.has(address, seq))
    // The seqs of a conversation are committed in their order, as each is taken under its lock: a page that holds one holds
    // all between it and its own start, and none of these can be committed later.
    // Noted before the first is written: what is dropped in the very call that writes it is forgotten again.
    this.#written.add(address, from, last.seq)
    this.#target.willReplayUpTo(last)
    for (const message of missing) this.#target.replayed(message)
  }
}
