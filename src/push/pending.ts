import type { Audience } from '../delivery/audience.ts'
import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { CommitListener } from '../messages/commit-feed.ts'
import { type Conversation, conversationBetween } from '../messages/conversation.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { PositionChange } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { HeldJob, JobStore, Standing, Wanted } from './job.ts'
import type { PushObserver } from './observer.ts'
import { dueMs, type Entry, newEntry, noteRead, type PushDelays, type Stage, waitFrom } from './pending-entry.ts'
import { ReadNotes } from './read-notes.ts'
import { Slots } from './slots.ts'
import type { Subscribers } from './subscribers.ts'

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
    else if (entry) {
      noteRead(entry, read)
      if (delivered >= entry.newest) entry.isDelivered = true
      else if (delivered >= entry.first) waitFrom(entry, delivered + 1)
    }
    // Whoever has read less than they received has left something unread, which stays on their screen.
    if (read >= delivered && read > 0 && this.#options.subscribers.has(user)) this.#reads.note(user, conversation)
  }

  /** A job was called off because this was received, and it is unread: whether it stays so is another question. */
  received({ userId, unread: { peer, seq } }: Pick<HeldJob, 'userId' | 'unread'>): void {
    const conversation = conversationBetween(peer, userId)
    const side = this.#sideOf(conversation, userId)
    if (side.has(conversation.key) || this.size >= MAX_ENTRIES) return
    const entry = newEntry({ userId, conversation }, seq, this.#options.clock.now())
    entry.isDelivered = true
    side.set(conversation.key, entry)
    this.#wait(entry, 'unread')
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
    const entry = newEntry({ userId: receiver_id, conversation }, seq, this.#now)
    side.set(conversation.key, entry)
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

  #dueMs(entry: Entry): number {
    return dueMs(entry, this.#options.delays)
  }

  #run(due: readonly Entry[]): void {
    const now = this.#options.clock.now()
    // Acknowledged here: no question to the database tells more.
    for (const entry of due) if (entry.isDelivered) entry.stage = 'unread'
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
    const { health, audience, delays, clock } = this.#options
    const now = clock.now()
    const attention = await audience.of(due.map(({ userId }) => userId))
    const wanted: Entry[] = []
    due.forEach((entry, index) => {
      const there = attention[index] ?? 'unknown'
      if (entry.isGone) return
      // Acknowledged meanwhile, or begun anew.
      if (this.#dueMs(entry) > now) this.#wait(entry, entry.stage)
      else if (entry.stage === 'nobody' && there !== 'nobody') this.#wait(entry, 'undelivered')
      else if (entry.stage === 'unread' && there === 'looking') this.#drop(entry)
      // They may be looking elsewhere: to be told late does less harm than to be told what one sees.
      else if (entry.stage === 'unread' && there === 'unknown') this.#wait(entry, 'unread', delays.unreadMs)
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
    noteRead(entry, standing.read)
    if (standing.delivered < entry.first) return { userId: entry.userId, standing, until: 'delivered', ageSeconds }
    if (standing.delivered < entry.newest) {
      // What was waited for has arrived; what came later has its own time.
      const isLate = now - entry.newestMs >= delays.undeliveredMs
      if (isLate) return { userId: entry.userId, standing, until: 'delivered', ageSeconds }
      this.#restart(entry)
    } else if (entry.stage === 'unread' && this.#dueMs(entry) <= now) {
      return { userId: entry.userId, standing, until: 'read', ageSeconds }
    } else {
      entry.isDelivered = true
      this.#wait(entry, 'unread')
    }
    return undefined
  }

  #restart(entry: Entry): void {
    waitFrom(entry, entry.newest)
    this.#wait(entry, 'undelivered')
  }

  #toldUpTo(entry: Entry, seq: number): void {
    if (entry.isGone) return
    noteRead(entry, seq)
    if (entry.newest > seq) this.#restart(entry)
    else this.#drop(entry)
  }
}
