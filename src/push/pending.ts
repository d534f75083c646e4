import type { Audience } from '../delivery/audience.ts'
import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { CommitListener } from '../messages/commit-feed.ts'
import type { Conversation } from '../messages/conversation.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { PositionChange } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { JobStore, Place, Standing, Wanted } from './job.ts'
import type { PushObserver } from './observer.ts'
import { ReadNotes } from './read-notes.ts'
import { Slots, type Slotted } from './slots.ts'
import type { Subscribers } from './subscribers.ts'

/** How long after its commit a message is looked at again; milliseconds. */
export interface PushDelays {
  /** Where nobody is connected: long enough for a burst to become one notification. */
  readonly nobodyMs: number
  /** Where somebody is connected and has not acknowledged it. */
  readonly undeliveredMs: number
  /** Where it was acknowledged and nobody looks. */
  readonly unreadMs: number
}

export interface PendingOptions {
  readonly subscribers: Pick<Subscribers, 'has'>
  readonly store: Pick<JobStore, 'standings' | 'want' | 'read'>
  readonly audience: Pick<Audience, 'of'>
  readonly delays: PushDelays
  readonly clock: Clock
  readonly health: Pick<DependencyLog, 'failed' | 'works'>
  readonly observer: Pick<PushObserver, 'pushesDue' | 'pushesCollapsed'>
  /** There are jobs to send. */
  readonly wake: () => void
}

type Stage = 'nobody' | 'undelivered' | 'unread'

/** What one person may have to be told of one conversation: at most one entry, however many messages. */
interface Entry extends Place, Slotted {
  /** The first message that is waited for, and when it was committed. */
  first: number
  firstMs: number
  newest: number
  newestMs: number
  stage: Stage
  /** All of it was acknowledged. */
  isDelivered: boolean
  isGone: boolean
}

/** More than that are left to the sweeper, which finds them in the database. */
const MAX_ENTRIES = 200_000
const PLACES_PER_QUERY = 500
const RETRY_MS = 1_000
const PART = 'what is to be pushed'

/**
 * What was committed here and may have to be pushed. Nothing is written while messages are stored: the wheel remembers one entry for
 * each person and conversation, and asks the database when its time has come. What a killed instance remembered the
 * sweeper finds.
 */
export class PendingPushes implements CommitListener {
  readonly #options: PendingOptions
  /** By the key of the conversation, of its lower and of its higher person: no key has to be made for a message. */
  readonly #ofLo = new Map<string, Entry>()
  readonly #ofHi = new Map<string, Entry>()
  readonly #slots: Slots<Entry>
  readonly #reads: ReadNotes
  readonly #underWay = new Set<Promise<void>>()
  /** Of this batch, and its entry: a burst is of one conversation, and comparing two ids costs less than looking them up. */
  #last: QueuedSend | undefined
  #entry: Entry | undefined
  /** Of this batch: the time, and messages that became part of an entry. */
  #batchMs: number | undefined
  #collapsed = 0

  constructor(options: PendingOptions) {
    this.#options = options
    this.#slots = new Slots(options.clock, (due) => this.#run(due))
    this.#reads = new ReadNotes(options)
  }

  /** Entries that are waited for. */
  get size(): number {
    return this.#ofLo.size + this.#ofHi.size
  }

  /** On the message path: what follows another of the same batch and direction looks nothing up. */
  message(send: QueuedSend): void {
    const last = this.#last
    if (last === undefined || send.receiver_id !== last.receiver_id || send.sender_id !== last.sender_id) {
      this.#last = send
      this.#entry = this.#noted(send)
    } else if (this.#entry) this.#more(this.#entry, send.seq)
  }

  position({ conversation, user, delivered, read }: PositionChange): void {
    const side = this.#sideOf(conversation, user)
    const entry = side.get(conversation.key)
    if (entry && read >= entry.newest) this.#drop(entry)
    else if (entry && delivered >= entry.newest) entry.isDelivered = true
    else if (entry && delivered >= entry.first) this.#waitFrom(entry, delivered + 1)
    // Whoever has read less than they received has left something unread, which stays on their screen.
    if (read >= delivered && read > 0 && this.#options.subscribers.has(user)) this.#reads.note(user, conversation)
  }

  batchDone(): void {
    if (this.#collapsed > 0) this.#options.observer.pushesCollapsed(this.#collapsed)
    this.#collapsed = 0
    this.#batchMs = undefined
    // Whoever has no entry may subscribe before the next batch.
    this.#last = undefined
  }

  /** Forgets everything: numbers of another history mean nothing. */
  clear(): void {
    for (const entry of [...this.#ofLo.values(), ...this.#ofHi.values()]) entry.isGone = true
    this.#ofLo.clear()
    this.#ofHi.clear()
    this.#last = undefined
    this.#reads.clear()
  }

  /** Resolves when nothing is asked of the database any more. What still waits is left to the sweeper of another instance. */
  async close(): Promise<void> {
    this.#slots.close()
    await Promise.all([...this.#underWay, this.#reads.close()])
  }

  /** The entry that tells of this message; undefined where nobody is to be told. */
  #noted({ conversation, receiver_id, sender_id, seq }: QueuedSend): Entry | undefined {
    if (receiver_id === sender_id || !this.#options.subscribers.has(receiver_id)) return undefined
    const side = this.#sideOf(conversation, receiver_id)
    const known = side.get(conversation.key)
    if (known) this.#more(known, seq)
    if (known || this.size >= MAX_ENTRIES) return known
    const entry = this.#added(side, conversation, receiver_id, seq)
    this.#wait(entry, 'nobody')
    return entry
  }

  /** Moves numbers alone, unless what the entry waited for was acknowledged. */
  #more(entry: Entry, seq: number): void {
    if (entry.isDelivered) return this.#again(entry, seq)
    this.#collapsed += 1
    if (seq > entry.newest) entry.newest = seq
    entry.newestMs = this.#now
  }

  /** One time for all messages of a batch: they were committed together. */
  get #now(): number {
    this.#batchMs ??= this.#options.clock.now()
    return this.#batchMs
  }

  #sideOf(conversation: Conversation, userId: UserId): Map<string, Entry> {
    return userId === conversation.lo ? this.#ofLo : this.#ofHi
  }

  #added(side: Map<string, Entry>, conversation: Conversation, userId: UserId, seq: number): Entry {
    const now = this.#now
    const times = { first: seq, firstMs: now, newest: seq, newestMs: now }
    const state = { stage: 'nobody', isDelivered: false, slot: 0, isGone: false } as const
    const entry: Entry = { userId, conversation, ...times, ...state }
    side.set(conversation.key, entry)
    return entry
  }

  /** What it waited for was acknowledged, and here is more. */
  #again(entry: Entry, seq: number): void {
    const now = this.#now
    entry.first = seq
    entry.firstMs = now
    entry.newest = seq
    entry.newestMs = now
    entry.isDelivered = false
    // One that is looked at within the second as it is waits again then: a chat costs a look a second, not one a message.
    if (entry.stage !== 'nobody') this.#wait(entry, 'nobody')
  }

  #drop(entry: Entry): void {
    entry.isGone = true
    if (entry === this.#entry) this.#last = undefined
    this.#sideOf(entry.conversation, entry.userId).delete(entry.conversation.key)
  }

  /** Looks at it when the time of this stage has come. */
  #wait(entry: Entry, stage: Stage, atLeastMs = 0): void {
    entry.stage = stage
    this.#slots.put(entry, Math.max(this.#dueMs(entry), this.#options.clock.now() + atLeastMs))
  }

  #dueMs({ firstMs, stage }: Entry): number {
    const { nobodyMs, undeliveredMs, unreadMs } = this.#options.delays
    return firstMs + { nobody: nobodyMs, undelivered: undeliveredMs, unread: unreadMs }[stage]
  }

  #run(due: readonly Entry[]): void {
    const now = this.#options.clock.now()
    // One of which the first message was acknowledged since waits for the next.
    const ready = due.filter((entry) => this.#dueMs(entry) <= now)
    for (const entry of due) if (this.#dueMs(entry) > now) this.#wait(entry, entry.stage)
    if (ready.length === 0) return
    const looking = this.#look(ready)
    this.#underWay.add(looking)
    void looking.then(() => this.#underWay.delete(looking))
  }

  /** Never rejects. */
  async #look(due: readonly Entry[]): Promise<void> {
    const { health, audience } = this.#options
    // Acknowledged here: no question to the database tells more.
    const isAcknowledged = ({ stage, isDelivered }: Entry): boolean => isDelivered && stage !== 'unread'
    const looked = due.filter((entry) => !isAcknowledged(entry))
    for (const entry of due) if (isAcknowledged(entry)) this.#wait(entry, 'unread')
    const attention = await audience.of(looked.map(({ userId }) => userId))
    const wanted: Entry[] = []
    looked.forEach((entry, index) => {
      const there = attention[index] ?? 'unknown'
      if (entry.isGone) return
      if (entry.stage === 'nobody' && there !== 'nobody') this.#wait(entry, 'undelivered')
      else if (entry.stage === 'unread' && there !== 'away') this.#drop(entry)
      else wanted.push(entry)
    })
    for (const part of chunks(wanted, PLACES_PER_QUERY)) {
      try {
        await this.#decide(part)
        health.works(PART)
      } catch (error) {
        health.failed(PART, error)
        for (const entry of part) if (!entry.isGone) this.#wait(entry, entry.stage, RETRY_MS)
      }
    }
  }

  async #decide(entries: readonly Entry[]): Promise<void> {
    const { store, observer, wake } = this.#options
    const standings = await store.standings(entries)
    const wanted: { readonly entry: Entry; readonly job: Wanted }[] = []
    entries.forEach((entry, index) => {
      const job = entry.isGone ? undefined : this.#wantedOf(entry, standings[index])
      if (job) wanted.push({ entry, job })
    })
    if (wanted.length === 0) return
    const changed = await store.want(wanted.map(({ job }) => job))
    // What came while the database was asked has to be looked at, too.
    for (const { entry, job } of wanted) this.#toldUpTo(entry, job.standing.newest)
    observer.pushesDue(changed)
    wake()
  }

  /** Undefined: not now, and the entry has gone or waits again. */
  #wantedOf(entry: Entry, standing: Standing | undefined): Wanted | undefined {
    if (!standing || standing.newest === 0) {
      this.#drop(entry)
      return undefined
    }
    const { delays, clock } = this.#options
    const now = clock.now()
    const ageSeconds = (now - entry.firstMs) / 1000
    if (standing.delivered < entry.first) return { userId: entry.userId, standing, until: 'delivered', ageSeconds }
    if (standing.delivered < entry.newest) {
      // What was waited for has arrived; what came later has its own time.
      const isLate = now - entry.newestMs >= delays.undeliveredMs
      if (isLate) return { userId: entry.userId, standing, until: 'delivered', ageSeconds }
      this.#restart(entry)
    } else if (entry.stage === 'unread') {
      return { userId: entry.userId, standing, until: 'read', ageSeconds }
    } else {
      entry.isDelivered = true
      this.#wait(entry, 'unread')
    }
    return undefined
  }

  #restart(entry: Entry): void {
    this.#waitFrom(entry, entry.newest)
    this.#wait(entry, 'undelivered')
  }

  /**
   * What came before `seq` has arrived. The time of `seq` is not kept; that of the newest is no earlier, so it may be told late but
   * never early. The entry keeps its slot, and is put into a later one when that has come.
   */
  #waitFrom(entry: Entry, seq: number): void {
    entry.first = seq
    entry.firstMs = entry.newestMs
  }

  #toldUpTo(entry: Entry, seq: number): void {
    if (entry.isGone) return
    if (entry.newest > seq) this.#restart(entry)
    else this.#drop(entry)
  }
}
