import { chunks } from '../lib/chunks.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { conversationBetween } from '../messages/conversation.ts'
import type { MessageStore, Recent, RecentHead } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { Continuity } from './continuity.ts'
import type { LocalUsers } from './local-users.ts'
import { missedReceipts } from './pushes.ts'

export interface HealingObserver {
  /** One look at the database ended, having found so many conversations with messages that were not pushed. */
  healed(conversations: number, durationMs: number): void
}

export interface HealingOptions {
  readonly store: Pick<MessageStore, 'recentHeads' | 'firstSince'>
  readonly users: LocalUsers
  readonly continuity: Continuity
  readonly clock: Clock
  readonly logger: Logger
  readonly observer: HealingObserver
  /** Resolves when everything that this instance itself has committed so far is announced. */
  announced(): Promise<void>
  /** Whether pushes from other instances arrive. */
  isConnected(): boolean
}

const USERS_PER_QUERY = 500
const POLL_INTERVAL_MS = 1_000
/**
 * While pushes arrive: an instance that is cut off from Redis alone can not tell the others what it failed to publish, and
 * one that dies so was never known to them.
 */
const SWEEP_INTERVAL_MS = 7_000
/** A regular look costs by the conversations of all who are here, so with many it is taken the less often. */
const LOOK_TO_SWEEP = 20
/** A database that was slow once may be fast again. */
const MAX_SWEEP_INTERVAL_MS = 60_000
const RETRY_MS = 500
/** Longer than a transaction may live: a row's time is from before its commit. */
const COMMIT_SLACK_MS = 10_000

interface Look {
  readonly sinceMs: number
  readonly receipts: boolean
  /** How far the receipts went that it told, or that were told before and that it saw again. */
  readonly told: Map<string, number>
  /** How long the database took for it. */
  databaseMs: number
}

/**
 * Finds what other instances committed and this one was not told of: compares the heads of its users' recently changed
 * conversations with what was pushed, and has the difference replayed. Runs whenever something may have been lost, every
 * second while nothing can arrive at all, and every few seconds in any case.
 */
export class Healing {
  readonly #options: HealingOptions
  #wantedSinceMs: number | undefined
  /** Whether what is wanted may have lost receipts, too; a regular look would only repeat those that came. */
  #wantsReceipts = false
  /** `told` of the last look. */
  #toldReceipts: ReadonlyMap<string, number> = new Map()
  #running: Promise<void> | undefined
  #cancelPoll: (() => void) | undefined
  #isStopped = false
  #sweepIntervalMs = SWEEP_INTERVAL_MS
  readonly #arrived = new Set<UserId>()
  /** One look at a time: a storm of arrivals is to fill neither the queue of reads nor the time of the database. */
  readonly #lookAtArrived = new Semaphore(1)

  constructor(options: HealingOptions) {
    this.#options = options
  }

  /**
   * Notes what this user, who has just come, has acknowledged of what changed lately: what is to be replayed to a connection
   * begins behind it. To be called before its backlog is read. Never rejects; without an answer the time decides.
   */
  async arrived(user: UserId): Promise<void> {
    this.#arrived.add(user)
    await this.#lookAtArrived.run(async () => {
      // Otherwise a look of somebody who waited before has covered this user.
      if (this.#arrived.has(user)) await this.#noteAcknowledged()
    })
  }

  /** Of everybody who came since the last look, or of as many as one query takes. */
  async #noteAcknowledged(): Promise<void> {
    const { store, continuity, logger } = this.#options
    const users = [...this.#arrived].slice(0, USERS_PER_QUERY)
    for (const user of users) this.#arrived.delete(user)
    try {
      for (const { user, other, deliveredSeq } of await store.recentHeads(users, COMMIT_SLACK_MS))
        continuity.hadAcknowledged(user, other, deliveredSeq)
    } catch (error) {
      logger.warn({ err: error }, 'what those who came have acknowledged could not be read')
    }
  }

  /** Starts to poll whenever pushes can not arrive. */
  start(): void {
    this.#armPoll(this.#options.clock.now())
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelPoll?.()
    await this.#running
  }

  /**
   * Something may have been lost: looks at everything committed since this time (milliseconds since the epoch), and tells how
   * far everybody is. Calls that come meanwhile are joined.
   */
  heal(sinceMs: number): void {
    this.#wantsReceipts = true
    this.#look(sinceMs)
  }

  #look(sinceMs: number): void {
    this.#wantedSinceMs = Math.min(sinceMs, this.#wantedSinceMs ?? sinceMs)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      // Something may have been wanted after the run's last look.
      if (this.#wantedSinceMs !== undefined && !this.#isStopped) this.#look(this.#wantedSinceMs)
    })
  }

  /** `lastMs`: up to when everything was compared. */
  #armPoll(lastMs: number): void {
    const { clock, isConnected } = this.#options
    this.#cancelPoll = clock.after(POLL_INTERVAL_MS, () => {
      const now = clock.now()
      const isCutOff = !isConnected()
      const isDue = isCutOff || now - lastMs >= this.#sweepIntervalMs
      if (isCutOff) this.heal(lastMs)
      else if (isDue) this.#look(lastMs)
      void Promise.resolve(this.#running).then(() => {
        if (!this.#isStopped) this.#armPoll(isDue ? now : lastMs)
      })
    })
  }

  async #run(): Promise<void> {
    while (this.#wantedSinceMs !== undefined && !this.#isStopped) {
      const sinceMs = this.#wantedSinceMs
      const receipts = this.#wantsReceipts
      this.#wantedSinceMs = undefined
      this.#wantsReceipts = false
      const look = { sinceMs, receipts, told: new Map<string, number>(), databaseMs: 0 }
      try {
        await this.#compareAll(look)
        this.#sweepIntervalMs = Math.min(
          Math.max(SWEEP_INTERVAL_MS, look.databaseMs * LOOK_TO_SWEEP),
          MAX_SWEEP_INTERVAL_MS,
        )
        // What a look does not see again has not changed since, and is told again only if it does.
        this.#toldReceipts = look.told
      } catch (error) {
        this.#options.logger.warn({ err: error }, 'healing failed and is tried again')
        this.#wantsReceipts ||= receipts
        this.#wantedSinceMs = Math.min(sinceMs, this.#wantedSinceMs ?? sinceMs)
        await sleep(this.#options.clock, RETRY_MS)
      }
    }
  }

  async #compareAll(look: Look): Promise<void> {
    const { users, clock, observer } = this.#options
    const startedMs = clock.now()
    let healed = 0
    for (const ids of chunks(users.ids(), USERS_PER_QUERY)) {
      if (this.#isStopped) break
      healed += await this.#compare(ids, look)
    }
    observer.healed(healed, clock.now() - startedMs)
  }

  async #compare(users: readonly UserId[], look: Look): Promise<number> {
    const { store, continuity, clock, announced } = this.#options
    const startedMs = clock.now()
    const ageMs = startedMs - look.sinceMs + COMMIT_SLACK_MS
    const heads = await store.recentHeads(users, ageMs)
    const recent = await this.#firstOfUnsure(heads, ageMs)
    look.databaseMs += clock.now() - startedMs
    // Our own commits are seen there before we have told of them; nobody needs them a second time.
    await announced()
    const holes = heads.filter((head) => {
      const { user, other, lastSeq, deliveredSeq } = head
      const first = recent.get(head)
      const fromSeq = Math.min(deliveredSeq + 1, first ?? lastSeq + 1)
      const isBehind = continuity.compare(user, other, lastSeq, fromSeq)
      if (first !== undefined) continuity.compared(user, other, lastSeq)
      return isBehind
    })
    if (look.receipts) for (const head of heads) this.#tellReceipts(head, look)
    return holes.length
  }

  /** Positions only grow, so their sum tells whether there is something new. */
  #tellReceipts(head: RecentHead, { told }: Look): void {
    const { user, other, deliveredSeq, readSeq, peerDeliveredSeq, peerReadSeq } = head
    const key = `${user} ${other}`
    const sum = deliveredSeq + readSeq + peerDeliveredSeq + peerReadSeq
    told.set(key, sum)
    if (sum <= (this.#toldReceipts.get(key) ?? 0)) return
    for (const receipt of missedReceipts(head)) {
      for (const recipient of this.#options.users.of(user)) recipient.event(receipt)
    }
  }

  /**
   * What its user has acknowledged says nothing about the device that is here: another may have, elsewhere. Until a look has
   * covered the time before the first push of a conversation, what was committed since this device came is the least that it
   * may miss.
   */
  async #firstOfUnsure(heads: readonly RecentHead[], ageMs: number): Promise<Map<RecentHead, number>> {
    const { store, continuity, clock } = this.#options
    const firsts = new Map<RecentHead, number>()
    const unknown: { head: RecentHead; recent: Recent }[] = []
    for (const head of heads) {
      const unsure = continuity.unsure(head.user, head.other)
      if (unsure?.acknowledgedSeq !== undefined) {
        firsts.set(head, unsure.acknowledgedSeq + 1)
      } else if (unsure) {
        const conversation = conversationBetween(head.user, head.other)
        const sinceMs = clock.now() - unsure.sinceMs + COMMIT_SLACK_MS
        unknown.push({ head, recent: { conversation, ageMs: Math.min(ageMs, sinceMs) } })
      }
    }
    const found = unknown.length === 0 ? [] : await store.firstSince(unknown.map(({ recent }) => recent))
    for (const [index, { head }] of unknown.entries()) firsts.set(head, found[index] ?? head.lastSeq + 1)
    return firsts
  }
}
