import type { Synced, Welcome } from '../protocol/events.ts'
import { MAX_FRAME_BYTES, MAX_HISTORY_LIMIT, MAX_LIST_LIMIT, MAX_SYNC_HEADS } from '../protocol/limits.ts'
import type { ConversationChange, ConversationSummary, Message } from '../protocol/message.ts'
import type { Acks } from './acks.ts'
import { Alarm } from './clock.ts'
import { type ConversationLog, SCREEN } from './conversation-log.ts'
import type { Core } from './core.ts'
import {
  type Applied,
  asked,
  FAR_BEHIND,
  GAP_WAIT_MS,
  type HistoryPage,
  pageReceived,
  type Question,
  questionOf,
  reachesTo,
  unanswered,
} from './inbox.ts'
import { highestGap } from './ranges.ts'

const COMPARE_EVERY_MS = 60_000
/** After waking; who looks at the page every other second needs no more. */
const COMPARE_AGAIN_MS = 5000
const FIRST_LIST = 100
/** Leaves room for the rest of the frame. */
const MAX_HEADS_BYTES = MAX_FRAME_BYTES - 4096

interface SyncOptions {
  readonly core: Core
  readonly acks: Acks
  /** What a page has brought. */
  readonly apply: (log: ConversationLog, applied: Applied<Message>) => void
  readonly reset: (log: ConversationLog) => void
  readonly isVisible: () => boolean
}

/** Without a page: `wasRefused` for good, or the connection was lost. */
type PageDone = (page: HistoryPage<Message> | undefined, wasRefused: boolean) => void

/** Notices what this client lacks, and fetches it. */
export class Sync {
  readonly #options: SyncOptions
  readonly #core: Core
  readonly #gaps: Alarm
  readonly #compares: Alarm
  readonly #gapped = new Set<ConversationLog>()
  readonly #filling = new Set<ConversationLog>()
  #isSynced = false
  #syncedAt = ''
  #comparedAt = 0

  constructor(options: SyncOptions) {
    this.#options = options
    this.#core = options.core
    this.#gaps = new Alarm(options.core.clock, () => this.check())
    this.#compares = new Alarm(options.core.clock, () => {
      if (options.isVisible()) this.compare()
      else this.#compares.at(options.core.clock.now() + COMPARE_EVERY_MS)
    })
  }

  welcome({ epoch }: Welcome): void {
    const { session, logs } = this.#core
    // A server that could not read its epoch yet says ''.
    const isOther = epoch !== '' && session.epoch !== undefined && epoch !== session.epoch
    if (isOther)
      this.#verify(
        [...logs.all()].filter(({ inbox }) => inbox.ranges.length > 0),
        epoch,
      )
    else if (epoch !== '' && session.epoch !== epoch) this.#set('epoch', epoch)
    // The list is what a person sees first, and the conversation that is open; the rest follows after `synced`.
    if (session.since === undefined) this.#list(FIRST_LIST)
    for (const log of logs.all()) if (log.isOpen && log.head > 0 && !isOther) this.#catchUp(log)
  }

  synced({ server_time }: Synced): void {
    this.#isSynced = true
    this.#syncedAt = server_time
    const { logs } = this.#core
    for (const log of logs.all()) {
      // Opened while there was no connection, and nothing of it is kept here.
      if (log.isUsed && log.items.length === 0) this.older(log, () => logs.changed(log))
      // What was known to be missing when the last connection, or the last program, ended.
      else if (log.inbox.ranges.length > 0) this.#reaches(log, log.lastSeq)
    }
    this.compare()
  }

  lost(): void {
    this.#isSynced = false
    this.#filling.clear()
    this.#compares.clear()
  }

  stop(): void {
    this.lost()
    this.#gaps.clear()
    this.#gapped.clear()
  }

  /** Looks whether this conversation lacks something, now or in a moment. */
  watch(log: ConversationLog): void {
    const { askAt } = log.inbox
    if (askAt === Number.POSITIVE_INFINITY) return
    this.#gapped.add(log)
    this.#gaps.at(askAt)
  }

  /** Asks for what is overdue. Called on every slice of frames too: the timers of a hidden page come late. */
  check(): void {
    const { clock, link } = this.#core
    if (this.#gapped.size === 0 || !link.isWelcomed) return
    const now = clock.now()
    for (const log of this.#gapped) {
      const question = questionOf(log.inbox, now, log.positions.delivered_seq)
      // Before `synced` the rest is on its way; only somebody who looks at the conversation does not wait for it.
      if (question && !this.#isSynced && !log.isUsed) this.#gaps.at(now + GAP_WAIT_MS)
      else if (question) this.#ask(log, question)
      else if (log.inbox.askAt > now && log.inbox.askAt < Number.POSITIVE_INFINITY) this.#gaps.at(log.inbox.askAt)
      else this.#gapped.delete(log)
    }
  }

  woke(): void {
    if (this.#core.clock.now() - this.#comparedAt >= COMPARE_AGAIN_MS) this.compare()
  }

  /** Compares every conversation with the server's. */
  compare(): void {
    const { acks } = this.#options
    const { session, logs, requests, random, clock } = this.#core
    if (!this.#isSynced) return
    this.#comparedAt = clock.now()
    this.#compares.clear()
    this.#compares.at(this.#comparedAt + COMPARE_EVERY_MS * (0.9 + 0.2 * random()))
    const said = acks.said()
    if (session.since === undefined) return this.#listAll(undefined, said)
    // What is not listed is named in the answer, with the positions that are still to be learned.
    const heads = [...logs.all()]
      .filter(({ isPlaced }) => isPlaced)
      .map((log) => [log.with, log.inbox.ranges.length > 0 ? log.head : log.lastSeq] as const)
    const isShort = heads.length <= MAX_SYNC_HEADS && JSON.stringify(heads).length <= MAX_HEADS_BYTES
    const known = new Map(heads)
    requests.ask({ type: 'sync', ...(isShort ? { heads } : { since: session.since }) }, (answer) => {
      // What is refused for good is asked again when the next comparison is due.
      if (answer?.type !== 'sync') return
      acks.confirmed(said)
      this.#set('since', answer.server_time)
      let isPoor = false
      for (const change of answer.changed) isPoor = this.#changed(change, known.get(change.with)) || isPoor
      for (const log of logs.all()) this.#fill(log)
      // Only the list has the last message and the number of unread ones where not every message is here.
      if (isPoor) this.#list(FIRST_LIST)
      this.check()
    })
  }

  /** The page of the history right below what is shown, from the server. */
  older(log: ConversationLog, done: (count: number | undefined) => void): void {
    const first = log.items[0]?.seq
    const question = first === undefined ? { limit: SCREEN } : { before: first, limit: SCREEN }
    this.#page(log, question, (page) => {
      if (!page) return done(undefined)
      const shown = log.items[0]?.seq ?? Number.POSITIVE_INFINITY
      log.prepend(page.messages.filter(({ seq }) => seq < shown))
      done(page.messages.length)
    })
  }

  /** What was missed in one conversation, in place of waiting for its turn; the newest of it when that is too much. */
  #catchUp(log: ConversationLog): void {
    this.#ask(log, { after: log.head, limit: FAR_BEHIND }, (hasMore) => hasMore && this.#ask(log, { limit: SCREEN }))
  }

  #ask(log: ConversationLog, question: Question, done: (hasMore: boolean) => void = () => undefined): void {
    log.inbox = asked(log.inbox)
    this.#page(log, question, (page, wasRefused) => {
      if (page) {
        this.#fill(log)
        done(page.hasMore)
      } else log.inbox = unanswered(log.inbox, this.#core.clock.now(), wasRefused ? COMPARE_EVERY_MS : GAP_WAIT_MS)
      this.watch(log)
    })
  }

  /** Fills the highest hole from above, a page at a time. */
  #fill(log: ConversationLog): void {
    const gap = highestGap(log.inbox.ranges, log.isPlaced ? log.positions.delivered_seq : undefined)
    if (!gap || !this.#isSynced || this.#filling.has(log)) return
    this.#filling.add(log)
    this.#page(log, { before: gap[1] + 1, limit: Math.min(MAX_HISTORY_LIMIT, gap[1] - gap[0] + 1) }, (page) => {
      this.#filling.delete(log)
      if (page) this.#fill(log)
    })
  }

  #page(log: ConversationLog, question: Question, done: PageDone): void {
    const { requests, clock } = this.#core
    requests.ask({ type: 'history', with: log.with, ...question }, (answer) => {
      if (answer?.type !== 'history') return done(undefined, answer !== undefined)
      const page = { messages: answer.messages, hasMore: answer.has_more }
      this.#options.apply(log, pageReceived(log.inbox, question, page, clock.now()))
      done(page, false)
    })
  }

  #listAll(cursor: string | undefined, said: ReturnType<Acks['said']>): void {
    this.#list(cursor === undefined ? FIRST_LIST : MAX_LIST_LIMIT / 2, cursor, (next) => {
      if (next !== null) return this.#listAll(next, said)
      this.#options.acks.confirmed(said)
      this.#set('since', this.#syncedAt)
      for (const log of this.#core.logs.all()) this.#fill(log)
    })
  }

  #list(limit: number, cursor?: string, done?: (next: string | null) => void): void {
    const { requests } = this.#core
    requests.ask({ type: 'conversations', limit, ...(cursor !== undefined && { cursor }) }, (answer) => {
      if (answer?.type !== 'conversations') return
      for (const summary of answer.conversations) this.#listed(summary)
      done?.(answer.next_cursor)
      this.check()
    })
  }

  #listed(summary: ConversationSummary): void {
    const log = this.#core.logs.of(summary.with)
    log.summarised(summary)
    this.#reaches(log, summary.last_seq)
    this.#core.logs.changed(log)
  }

  /** True when the change is not all that is to be shown of it. `known`: the head when the question was written. */
  #changed(change: ConversationChange, known: number | undefined): boolean {
    const { logs } = this.#core
    const log = logs.of(change.with)
    // The server has gone back behind what is here: it was restored from a backup.
    if (known !== undefined && known > change.last_seq && log.inbox.ranges.length > 0) this.#options.reset(log)
    log.place(change)
    const isFar = change.last_seq - log.head > FAR_BEHIND
    const isFetched = this.#reaches(log, change.last_seq)
    logs.changed(log)
    return isFar || (!isFetched && log.lastMessage?.seq !== change.last_seq)
  }

  /** A conversation of which nothing is here is fetched when somebody looks at it, or when something of it was never received. */
  #reaches(log: ConversationLog, lastSeq: number): boolean {
    const isWanted =
      log.inbox.ranges.length > 0 || log.isUsed || (this.#isSynced && lastSeq > log.positions.delivered_seq)
    // Before `synced` the rest is on its way: only what would take long to come is asked for.
    const isComing = !this.#isSynced && (!log.isUsed || lastSeq - log.head <= FAR_BEHIND)
    if (isWanted && !isComing) log.inbox = reachesTo(log.inbox, lastSeq, this.#core.clock.now())
    else log.inbox = { ...log.inbox, top: Math.max(log.inbox.top, lastSeq) }
    this.watch(log)
    return isWanted
  }

  /** The numbers may mean something else now: the newest message of each conversation shows whether they do. */
  #verify(logs: readonly ConversationLog[], epoch: string): void {
    const core = this.#core
    let left = logs.length
    const done = (): void => {
      left -= 1
      if (left <= 0) this.#set('epoch', epoch)
    }
    if (left === 0) done()
    for (const log of logs) {
      const { head } = log
      log.isVerified = false
      core.requests.ask({ type: 'history', with: log.with, before: head + 1, limit: 1 }, (answer) => {
        if (!answer) return
        // Refused for good: it is not there any more.
        const there = answer.type === 'history' ? answer.messages[0] : undefined
        void this.#idAt(log, head).then((id) => {
          const isSame = id !== undefined && there?.seq === head && there.id === id
          // It may have shown already that it is another history.
          if (!isSame && !log.isVerified) this.#options.reset(log)
          log.isVerified = true
          // What came meanwhile could not be acknowledged.
          this.#options.acks.kept(log, 1)
          done()
          if (left === 0) this.compare()
        })
      })
    }
  }

  async #idAt(log: ConversationLog, seq: number): Promise<string | undefined> {
    const here = log.items.find((message) => message.seq === seq)
    return (here ?? (await this.#core.session.vault?.messages(log.with, seq, seq))?.[0])?.id
  }

  #set(key: 'since' | 'epoch', value: string): void {
    const { session } = this.#core
    session[key] = value
    session.keep({ put: 'meta', row: { key, value } })
  }
}
