import type { ErrorReply, Sent as SentReply } from '../protocol/events.ts'
import type { Message, UserId } from '../protocol/message.ts'
import { Alarm } from './clock.ts'
import type { Core } from './core.ts'
import { isForNow } from './errors.ts'
import { Orphans } from './orphans.ts'
import {
  type Entry,
  isAside,
  isSuspect,
  isUnstored,
  nextRetryAt,
  nextToWrite,
  queued,
  SUSPECT_WITHIN_MS,
} from './outbox.ts'
import { cancelled, entryOf, failure, faultOf, isEntry } from './outbox-rows.ts'
import { Patience } from './patience.ts'
import type { Queues } from './queues.ts'
import type { KeptEntry } from './storage.ts'
import type { OutboxMessage } from './tabs.ts'
import type { Sending, Sent } from './types.ts'
import { Waiting } from './waiting.ts'

/** Of one connection, over all conversations; the server allows 256. */
const MAX_IN_FLIGHT = 64
/** A connection that has held so long does not end by itself in the moment when a message is written. */
const SETTLE_MS = 1000

interface SenderOptions {
  readonly core: Core
  readonly tab: string
  readonly makeId: () => string
  readonly window: number
  /** Aborted when the client is left for good. */
  readonly ended: AbortSignal
  /** An own message is stored: it takes its place among the others. */
  readonly stored: (message: Message) => void
  /** What waits in this conversation has changed. */
  readonly changed: (other: UserId) => void
}

/** What was typed and is not known to be stored: written in order, again after each loss, until the server has said what became of it. */
export class Sender {
  readonly #options: SenderOptions
  readonly tab: string
  readonly #core: Core
  readonly #waiting: Waiting
  /** Without an answer on this connection, in the order they were written; also what was discarded meanwhile. */
  readonly #inFlight = new Map<string, Entry>()
  readonly orphans: Orphans
  readonly #retry: Alarm
  readonly #patience: Patience
  #lastN = 0
  #settledAt = 0
  /** The message of which the server has just said that it was stored before. */
  #duplicate: string | undefined

  constructor(options: SenderOptions) {
    this.#options = options
    this.#core = options.core
    this.tab = options.tab
    this.#waiting = new Waiting(options, () => this.pump())
    const { clock, link } = options.core
    this.orphans = new Orphans({
      ...options,
      queues: this.queues,
      taken: () => this.#aged(),
      take: (entry) => this.#waiting.replace(entry),
    })
    this.#retry = new Alarm(clock, () => this.pump())
    this.#patience = new Patience(clock, link, () => [...this.#inFlight.values()][0]?.writtenAt)
  }

  get queues(): Queues {
    return this.#waiting.queues
  }

  send(to: UserId, text: string, signal?: AbortSignal): Sending {
    const { core, makeId, ended } = this.#options
    const wall = core.clock.wall()
    this.#lastN = Math.max(this.#lastN + 1, wall)
    const entry = queued(makeId(), to, text, { n: this.#lastN, at: wall, owner: this.tab })
    const sending = this.#waiting.handles.open(entry.id)
    const code = faultOf(entry, core.session.maxContentBytes)
    if (code || ended.aborted) {
      // Nothing is kept: what cannot be sent stays in the text box.
      const { id } = entry
      this.#waiting.handles.settle(id, code ? failure(id, code) : cancelled(id, false))
      return sending
    }
    this.queues.put(entry)
    this.#waiting.save(entry)
    const withdraw = (): void => this.#withdraw(entry.id)
    signal?.addEventListener('abort', withdraw)
    void sending.settled.then(() => signal?.removeEventListener('abort', withdraw))
    if (signal?.aborted) withdraw()
    return sending
  }

  /** Again, with the same id: what was stored after all is not stored twice. */
  retry(id: string): Sending | undefined {
    const entry = this.queues.find(id)
    if (!entry || !isAside(entry.state)) return undefined
    this.#waiting.handles.settle(id, cancelled(id, true))
    const sending = this.#waiting.handles.open(id)
    this.#waiting.change(entry.with, { type: 'retry', id })
    const again = { ...(this.queues.find(id) ?? entry), owner: this.tab, at: this.#core.clock.wall() }
    this.#waiting.replace({ ...again, state: 'saving' })
    this.#waiting.save(again)
    return sending
  }

  /** Takes a message back. True: it was certainly never stored. False: it may be, and is only not tried again, or there is none. */
  discard(id: string): boolean {
    const entry = this.queues.find(id)
    if (!entry) return false
    this.#waiting.remove(entry, cancelled(id, false))
    return isUnstored(entry, this.tab)
  }

  /** Takes up what was kept, and what other tabs have left. */
  async restore(rows: readonly KeptEntry[]): Promise<void> {
    for (const row of rows) {
      if (!isEntry(row)) {
        this.#core.session.keep({ remove: 'outbox', key: String((row as { id?: unknown }).id) })
        continue
      }
      if (this.queues.find(row.id)) continue
      this.#lastN = Math.max(this.#lastN, row.n)
      this.queues.put(entryOf(row))
    }
    // What was typed before it was known who types.
    for (const entry of this.queues.entries()) if (entry.state === 'saving') this.#waiting.save(entry)
    await this.orphans.adopt()
  }

  /** What another tab says of its messages. */
  heard({ id, with: other, entry, stored, epoch }: OutboxMessage): void {
    if (entry) this.orphans.heard(entry)
    // It takes its place in the log in the same moment: until this tab's own connection brings it, it must not vanish.
    else if (stored && epoch === this.#core.session.epoch) this.#options.stored(stored)
    else {
      this.queues.remove({ id, with: other })
      this.#waiting.handles.settle(id, stored ? storedAs(stored, false) : cancelled(id, false))
    }
    this.pump()
  }

  /** Writes what may be written now. */
  pump(): void {
    const { clock, link } = this.#core
    if (!link.isWelcomed) return
    const now = clock.now()
    // What may end the connection is given a moment to do so, before anything else is written.
    const pausedUntil = Math.max(link.pausedUntil, this.#lastWriteEnds(isSuspect))
    if (now < pausedUntil) return this.#retry.at(pausedUntil)
    const suspect = this.queues
      .conversations()
      .map((other) => this.#next(other, now))
      .find((next) => next && isSuspect(next))
    if (suspect && now < this.#settledAt) this.#retry.at(this.#settledAt)
    else if (suspect) {
      const aloneAt = this.#lastWriteEnds(() => true)
      if (now >= aloneAt) this.#write(suspect, now)
      return this.#retry.at(Math.max(now, aloneAt) + SUSPECT_WITHIN_MS)
    }
    for (const other of this.queues.conversations()) {
      let next = this.#next(other, now)
      while (next && !isSuspect(next) && this.#inFlight.size < MAX_IN_FLIGHT && this.#write(next, now))
        next = this.#next(other, now)
      this.#retry.at(nextRetryAt(this.queues.of(other), this.tab, now))
    }
  }

  #next(other: UserId, now: number): Entry | undefined {
    return nextToWrite(this.queues.of(other), this.tab, this.#options.window, now)
  }

  /** When the time is over in which a close would speak against the last of these that was written and has no reply. */
  #lastWriteEnds(which: (entry: Entry) => boolean): number {
    return Math.max(
      0,
      ...[...this.#inFlight.values()].filter(which).map((entry) => entry.writtenAt + SUSPECT_WITHIN_MS),
    )
  }

  /** False: not now, it is to be noted first, or there is no connection. */
  #write(entry: Entry, now: number): boolean {
    const { id, with: other, content } = entry
    if (!entry.isNoted) {
      const noted: Entry = { ...entry, state: 'saving', isNoted: true }
      this.queues.put(noted)
      this.#waiting.save(noted)
      return false
    }
    if (!this.#core.link.send({ type: 'send', receiver_id: other, content, id, ref: id })) return false
    this.#inFlight.set(id, { ...entry, writtenAt: now })
    this.#waiting.change(other, { type: 'written', id, now })
    if (!entry.wasWritten) this.#waiting.say({ ...entry, wasWritten: true })
    this.#patience.begin()
    return true
  }

  /** After `welcome`. */
  welcome(): void {
    this.#settledAt = this.#core.clock.now() + SETTLE_MS
    this.#aged()
  }

  /** What is too old is not sent without asking, also when another tab has left it. */
  #aged(): void {
    for (const other of this.queues.conversations())
      this.#waiting.change(other, { type: 'aged', wallMs: this.#core.clock.wall() })
    this.pump()
  }

  /** The reply to a message of this client. Another tab may have known it first; what waits behind it goes on in any case. */
  sent({ id, seq, created_at, with: other, duplicate }: SentReply): void {
    const entry = this.queues.find(id) ?? this.#inFlight.get(id)
    if (entry) {
      this.#duplicate = duplicate ? id : undefined
      const people = { sender_id: this.#core.session.userId, receiver_id: other }
      this.#options.stored({ id, seq, ...people, content: entry.content, created_at })
    }
    this.#inFlight.delete(id)
    this.pump()
  }

  /** The message is in the log, wherever that was learned. */
  isStored(message: Message): void {
    const { id } = message
    const entry = this.queues.find(id)
    if (!entry) return
    // Without a reply to expect, it was an attempt on an earlier connection that stored it.
    const wasBefore = entry.owner === this.tab && entry.wasWritten && !this.#inFlight.has(id)
    const duplicate = id === this.#duplicate || wasBefore
    const outcome = storedAs(message, duplicate)
    this.#inFlight.delete(id)
    this.#waiting.remove(entry, outcome, message)
    this.#core.events.emit('sent', outcome)
  }

  /** Whether the error was about a message of this client. */
  refused(error: ErrorReply): boolean {
    const id = String(error.ref ?? error.id)
    const entry = this.queues.find(id)
    this.#inFlight.delete(id)
    if (entry?.state !== 'sending') return false
    const { clock, random } = this.#core
    const { code, message, retry_after_ms } = error
    // Credentials are the connection's affair: the message waits for them.
    const isTemporary = isForNow(error) || code === 'unauthorized'
    const wait = { now: clock.now(), random: random(), retryAfterMs: retry_after_ms }
    this.#waiting.change(entry.with, { type: 'refused', id, code, message, isTemporary, ...wait })
    this.pump()
    return true
  }

  /** The connection is gone. What had no answer is unknown, and goes again. */
  lost(code: number): void {
    const [oldest] = this.#inFlight.keys()
    this.#inFlight.clear()
    this.#patience.end()
    const now = this.#core.clock.now()
    for (const other of this.queues.conversations()) this.#waiting.change(other, { type: 'lost', code, now, oldest })
  }

  /** Settles everything: `kept` says whether the next client of this user goes on with it. */
  close(kept: boolean): void {
    this.#retry.clear()
    this.#patience.end()
    this.queues.clear()
    this.#inFlight.clear()
    for (const id of this.#waiting.handles.ids()) this.#waiting.handles.settle(id, cancelled(id, kept))
  }

  /** An aborted send is waited for no more; only what was never written can be taken back. */
  #withdraw(id: string): void {
    const entry = this.queues.find(id)
    if (entry && !entry.wasWritten && !isAside(entry.state)) this.discard(id)
    else this.#waiting.handles.settle(id, cancelled(id, true))
  }
}

function storedAs({ id, seq, receiver_id, created_at }: Message, duplicate: boolean): Sent {
  return { outcome: 'ok', id, seq, with: receiver_id, created_at, duplicate }
}
