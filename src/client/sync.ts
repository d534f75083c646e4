import type { Synced, Welcome } from '../protocol/events.ts'
import { MAX_FRAME_BYTES, MAX_LIST_LIMIT, MAX_SYNC_HEADS } from '../protocol/limits.ts'
import type { ConversationChange, ConversationSummary, Message } from '../protocol/message.ts'
import type { Acks } from './acks.ts'
import { Alarm } from './clock.ts'
import { type ConversationLog, SCREEN } from './conversation-log.ts'
import type { Core } from './core.ts'
import { type Apply, Holes } from './holes.ts'
import { FAR_BEHIND, reachesTo } from './inbox.ts'

const COMPARE_EVERY_MS = 60_000
/** After waking; who looks at the page every other second needs no more. */
const COMPARE_AGAIN_MS = 5000
const FIRST_LIST = 100
/** Leaves room for the rest of the frame. */
const MAX_HEADS_BYTES = MAX_FRAME_BYTES - 4096

interface SyncOptions {
  readonly core: Core
  readonly acks: Acks
  readonly apply: Apply
  /** Whether what is here of a conversation belongs to the server's line of history; else it is dropped. */
  readonly judged: (log: ConversationLog, isSame: boolean) => void
  readonly isVisible: () => boolean
}

/** Compares what is here with what the server has, so that nothing stays missing. */
export class Sync {
  readonly #options: SyncOptions
  readonly #core: Core
  readonly #compares: Alarm
  readonly holes: Holes
  #syncedAt = ''
  #comparedAt = 0
  #isDue = false

  constructor(options: SyncOptions) {
    this.#options = options
    this.#core = options.core
    this.holes = new Holes(options.core, options.apply, () => this.woke())
    this.#compares = new Alarm(options.core.clock, () => {
      if (options.isVisible()) this.compare()
      else this.#compares.at(options.core.clock.now() + COMPARE_EVERY_MS)
    })
  }

  welcome({ epoch, server_time }: Welcome): void {
    const { session, logs } = this.#core
    // A server that could not read its epoch yet says ''.
    if (epoch) this.#turned(epoch, server_time)
    // The list is what a person sees first, and the conversation that is open; the rest follows after `synced`.
    if (!session.since) this.#list(FIRST_LIST)
    for (const log of [...logs.all()].sort((a, b) => Number(b.isOpen) - Number(a.isOpen)))
      if (!log.isVerified) this.#verify(log)
      else if (log.isOpen && log.head > 0) this.holes.catchUp(log)
  }

  /** The server's line of history: what is known of another one is doubted before anything is said or taken. */
  #turned(epoch: string, at: string): void {
    const { session, logs, events } = this.#core
    const before = session.epoch
    const isAgain = epoch === before
    session.epoch = epoch
    // An instance may say a line again that was left a moment ago: it counts from when the server has last compared in it.
    const row = { key: 'epoch', value: epoch, at: isAgain ? session.since : at } as const
    session.keep({ put: 'meta', row, epoch: isAgain ? '' : before })
    if (before && !isAgain) {
      this.#sinceIs('')
      for (const log of logs.all()) {
        log.doubt()
        this.#options.acks.forget(log)
        logs.changed(log)
      }
      events.emit('epoch', { epoch })
    }
    // From here on other tabs keep nothing of the line before; and what is kept of this one comes after it.
    session.commit()
  }

  synced({ server_time }: Synced): void {
    this.holes.isSynced = true
    this.#syncedAt = server_time
    for (const log of this.#core.logs.all()) this.resume(log)
    this.compare()
  }

  /** Asks for what is missing of a conversation that is shown, or was known to be when the last connection or program ended. */
  resume(log: ConversationLog): void {
    if (log.isUsed && log.items.length === 0) this.holes.older(log)
    else this.holes.watch(log)
  }

  lost(): void {
    this.holes.lost()
    this.#compares.clear()
  }

  woke(): void {
    if (this.#core.clock.now() - this.#comparedAt >= COMPARE_AGAIN_MS) this.compare()
  }

  /** Compares every conversation with the server's, once for all that ask for it in one moment. */
  compare(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#core.clock.soon(() => {
      this.#isDue = false
      this.#compare()
    })
  }

  #compare(): void {
    const { acks } = this.#options
    const { session, logs, requests, random, clock } = this.#core
    // What is not known to be of the server's line of history is followed by a comparison when it is.
    if (!this.holes.isSynced || [...logs.all()].some(({ isVerified }) => !isVerified)) return
    this.#comparedAt = clock.now()
    this.#compares.clear()
    this.#compares.at(this.#comparedAt + COMPARE_EVERY_MS * (0.9 + 0.2 * random()))
    const said = acks.said()
    if (!session.since) return this.#listAll(undefined, said)
    // What is not listed is named in the answer, with the positions that are still to be learned.
    const heads = [...logs.all()]
      .filter(({ isPlaced }) => isPlaced)
      .map((log) => [log.with, log.head || log.lastSeq] as const)
    const known = new Map(heads)
    const isShort = heads.length <= MAX_SYNC_HEADS && JSON.stringify(heads).length <= MAX_HEADS_BYTES
    requests.ask({ type: 'sync', ...(isShort ? { heads } : { since: session.since }) }, (answer) => {
      // What is refused for good is asked again when the next comparison is due.
      if (answer?.type !== 'sync') return
      acks.confirmed(said)
      this.#sinceIs(answer.server_time)
      let isPoor = false
      for (const change of answer.changed) isPoor = this.#changed(change, known.get(change.with)) || isPoor
      // Only the list has the last message and the number of unread ones where not every message is here.
      if (isPoor) this.#list(FIRST_LIST)
    })
  }

  #listAll(cursor: string | undefined, said: ReturnType<Acks['said']>): void {
    this.#list(cursor === undefined ? FIRST_LIST : MAX_LIST_LIMIT / 2, cursor, (next) => {
      if (next !== null) return this.#listAll(next, said)
      this.#options.acks.confirmed(said)
      this.#sinceIs(this.#syncedAt)
    })
  }

  #list(limit: number, cursor?: string, done?: (next: string | null) => void): void {
    const { requests } = this.#core
    requests.ask({ type: 'conversations', limit, cursor }, (answer) => {
      if (answer?.type !== 'conversations') return
      for (const summary of answer.conversations) this.#listed(summary)
      done?.(answer.next_cursor)
    })
  }

  #listed(summary: ConversationSummary): void {
    const log = this.#core.logs.of(summary.with)
    log.summarised(summary)
    this.#reaches(log, summary.last_seq)
    this.#core.logs.changed(log)
  }

  /** True when the change is not all that is to be shown of it. `known`: the head when the question was written. */
  #changed(change: ConversationChange, known = 0): boolean {
    const { logs } = this.#core
    const log = logs.of(change.with)
    // The server has gone back behind what is here, and was before it was asked: it was restored from a backup.
    if (Math.min(known, log.lastSeq) > change.last_seq) this.#options.judged(log, false)
    log.place(change)
    const isFar = change.last_seq - log.head > FAR_BEHIND
    const isFetched = this.#reaches(log, change.last_seq)
    logs.changed(log)
    return isFar || (!isFetched && log.lastMessage?.seq !== change.last_seq)
  }

  /** A conversation of which nothing is here is fetched when somebody looks at it, or when something of it was never received. */
  #reaches(log: ConversationLog, lastSeq: number): boolean {
    log.inbox = reachesTo(log.inbox, lastSeq)
    this.holes.watch(log)
    return log.head > 0 || log.isUsed || (this.holes.isSynced && lastSeq > log.positions.delivered_seq)
  }

  /** Whether a conversation is of the server's line of history; without an answer it is asked again on the next connection. */
  #verify(log: ConversationLog): void {
    const { line, head } = log
    this.#core.requests.ask({ type: 'history', with: log.with, before: head + 1, limit: SCREEN }, (answer) => {
      // Refused for good: it is not there any more.
      if (answer)
        void this.#isSame(log, head, answer.type === 'history' ? answer.messages : []).then((isSame) => {
          if (log.line !== line || log.isVerified) return
          this.#options.judged(log, isSame)
          this.compare()
        })
    })
  }

  /**
   * Whether the newest messages here are those of the page. One of them alone does not show it: what was sent again may have got
   * its number again, above others that were lost.
   */
  async #isSame(log: ConversationLog, head: number, page: readonly Message[]): Promise<boolean> {
    const from = head - SCREEN + 1
    const there = new Map(page.map(({ seq, id }) => [seq, id]))
    const kept: readonly Message[] = await this.holes.kept(log, from, head)
    const here = [...kept, ...log.items.filter(({ seq }) => seq >= from)]
    const isSame = here.every(({ seq, id }) => id === '' || there.get(seq) === id)
    return isSame && here.length > 0 && there.has(head)
  }

  #sinceIs(value: string): void {
    const { session } = this.#core
    const { epoch } = session
    session.since = value
    session.keep({ put: 'meta', row: { key: 'since', value }, epoch })
  }
}
