import type { Clock } from '../lib/clock.ts'
import { conversationBetween } from '../messages/conversation.ts'
import { COMMIT_SLACK_MS, type MessageReads, type Recent, type RecentHead } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { Continuity } from './continuity.ts'
import type { LocalUsers } from './local-users.ts'
import { missedReceipts } from './receipts.ts'

export interface ComparisonOptions {
  readonly store: Pick<MessageReads, 'recentHeads' | 'firstSince'>
  readonly users: LocalUsers
  readonly continuity: Continuity
  readonly clock: Clock
  /** Resolves when everything that this instance itself has committed so far is announced. */
  announced(): Promise<void>
}

/** What is to be compared: everything that changed since then, by the store's clock. */
export interface Look {
  readonly sinceMs: number
  /** Whether it tells how far everybody is: whether a receipt came is not known here. */
  readonly receipts: boolean
}

export interface Compared {
  /** When, by the store's clock. */
  readonly asOfMs: number
  /** Conversations of which something had not been pushed, and is replayed now. */
  readonly behind: number
  /** How long the store took. */
  readonly storeMs: number
}

/** Compares the heads of some users' recently changed conversations with what was pushed, and has the difference replayed. */
export class Comparison {
  readonly #options: ComparisonOptions
  /** How far receipts went that were told in this round, and in the one before, by user and address. */
  #told = new Map<string, number>()
  #toldBefore: ReadonlyMap<string, number> = new Map()
  /** Counts how often what was known had to be forgotten. */
  #line = 0

  constructor(options: ComparisonOptions) {
    this.#options = options
  }

  /** The store's time; rejects when the store does not answer. */
  async storeTimeMs(): Promise<number> {
    const { asOfMs } = await this.#options.store.recentHeads([], 0)
    return asOfMs
  }

  async compare(users: readonly UserId[], look: Look): Promise<Compared> {
    const { store, continuity, clock, announced } = this.#options
    const line = this.#line
    const startedMs = clock.now()
    const since = { ...look, sinceMs: Math.max(0, look.sinceMs - COMMIT_SLACK_MS) }
    const { found: heads, asOfMs } = await store.recentHeads(users, since.sinceMs)
    const firsts = await this.#firstOfUnsure(heads, since)
    const storeMs = clock.now() - startedMs
    // Our own commits are seen there before we have told of them; they are not needed a second time.
    await announced()
    // What was read belongs to numbers that are no longer true.
    if (line !== this.#line) return { asOfMs, behind: 0, storeMs }
    let behind = 0
    for (const head of heads) {
      const { user, with: address, lastSeq, deliveredSeq } = head
      const first = firsts.get(head)
      if (continuity.compare(user, address, lastSeq, Math.min(deliveredSeq + 1, first ?? lastSeq + 1))) behind += 1
      if (first !== undefined) continuity.compared(user, address, lastSeq)
    }
    if (look.receipts) for (const head of heads) this.#tellReceipts(head)
    return { asOfMs, behind, storeMs }
  }

  /** The store was set back, or is another one: positions may be lower than they were. */
  forget(): void {
    this.#line += 1
    this.#told.clear()
    this.#toldBefore = this.#told
    this.#options.continuity.forget()
  }

  /** Everybody was compared: what is not seen again in the next round has not changed since, and is told again only if it does. */
  roundOver(): void {
    this.#toldBefore = this.#told
    this.#told = new Map()
  }

  /** Positions only grow, so their sum tells whether there is something new. */
  #tellReceipts(head: RecentHead): void {
    const { user, with: address, deliveredSeq, readSeq, peerDeliveredSeq, peerReadSeq } = head
    const key = `${user} ${address}`
    const sum = deliveredSeq + readSeq + peerDeliveredSeq + peerReadSeq
    const told = this.#told.get(key) ?? this.#toldBefore.get(key) ?? 0
    this.#told.set(key, sum)
    if (sum <= told) return
    for (const receipt of missedReceipts(head)) {
      for (const recipient of this.#options.users.of(user)) recipient.event(receipt)
    }
  }

  /**
   * What its user has acknowledged says nothing about the device that is here: another may have, elsewhere. Until a look has
   * covered the time before the first push of a conversation, what was committed since this device came is the least that it
   * may miss.
   */
  async #firstOfUnsure(heads: readonly RecentHead[], look: Look): Promise<Map<RecentHead, number>> {
    const { store, continuity } = this.#options
    const firsts = new Map<RecentHead, number>()
    const unknown: { head: RecentHead; recent: Recent }[] = []
    for (const head of heads) {
      const unsure = continuity.unsure(head.user, head.with)
      if (unsure?.acknowledgedSeq !== undefined) {
        firsts.set(head, unsure.acknowledgedSeq + 1)
      } else if (unsure) {
        const conversation = conversationBetween(head.user, head.with)
        const sinceMs = Math.max(look.sinceMs, unsure.sinceMs - COMMIT_SLACK_MS)
        unknown.push({ head, recent: { conversation, sinceMs } })
      }
    }
    const found = unknown.length === 0 ? [] : await store.firstSince(unknown.map(({ recent }) => recent))
    for (const [index, { head }] of unknown.entries()) firsts.set(head, found[index] ?? head.lastSeq + 1)
    return firsts
  }
}
