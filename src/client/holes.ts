import { MAX_HISTORY_LIMIT } from '../protocol/limits.ts'
import type { Message } from '../protocol/message.ts'
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
  unanswered,
} from './inbox.ts'
import { highestGap } from './ranges.ts'
import { isMessage } from './wire.ts'

/** What is refused for good is asked again when the next comparison is due. */
const REFUSED_WAIT_MS = 60_000

/** What a page has brought. */
export type Apply = (log: ConversationLog, applied: Applied<Message>) => void
/** Without a page: `wasRefused` for good, or the connection was lost. */
type PageDone = (page: HistoryPage<Message> | undefined, wasRefused: boolean) => void

/** Fetches what conversations lack, a page of the history at a time. */
export class Holes {
  readonly #core: Core
  readonly #apply: Apply
  readonly #gaps: Alarm
  readonly #gapped = new Set<ConversationLog>()
  readonly #filling = new Set<ConversationLog>()
  /** Whether all that the server brings by itself has come. */
  isSynced = false

  constructor(core: Core, apply: Apply) {
    this.#core = core
    this.#apply = apply
    this.#gaps = new Alarm(core.clock, () => this.check())
  }

  lost(): void {
    this.isSynced = false
    this.#filling.clear()
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
      if (question && !this.isSynced && !log.isUsed) this.#gaps.at(now + GAP_WAIT_MS)
      else if (question) this.#ask(log, question)
      else if (log.inbox.askAt > now && log.inbox.askAt < Number.POSITIVE_INFINITY) this.#gaps.at(log.inbox.askAt)
      else this.#gapped.delete(log)
    }
  }

  /** The page of the history right below what is shown, from the server. */
  older(log: ConversationLog, done: (count: number | undefined) => void): void {
    const first = log.items[0]?.seq
    const question = first === undefined ? { limit: SCREEN } : { before: first, limit: SCREEN }
    this.#page(log, question, (page) => {
      if (!page) return done(undefined)
      const shown = log.items[0]?.seq ?? Number.POSITIVE_INFINITY
      log.prepend(page.messages.filter(({ seq }) => seq < shown))
      // A page that does not join what is shown, as of a database that was set back, is no reason to ask for it again and again.
      const isOlder = (log.items[0]?.seq ?? Number.POSITIVE_INFINITY) < (first ?? Number.POSITIVE_INFINITY)
      done(isOlder ? page.messages.length : 0)
    })
  }

  /** What is kept from `first` to `last`. Rows that are broken, of a disk that fails, are no reason to stop: the server has them. */
  async kept(log: ConversationLog, first: number, last: number): Promise<readonly Message[]> {
    const { session, clock, warn } = this.#core
    // What has just come in place of a broken row is read, and not that row again.
    session.commit()
    const rows = (await session.vault?.messages(log.with, first, last)) ?? []
    const whole = rows.filter(isMessage)
    if (whole.length === rows.length) return rows
    warn('messages are broken, and are fetched again', rows.length - whole.length)
    for (const row of rows) if (!isMessage(row)) log.lack(row.seq, clock.now())
    this.watch(log)
    this.fill(log)
    return whole
  }

  /** What was missed in one conversation, in place of waiting for its turn; the newest of it when that is too much. */
  catchUp(log: ConversationLog): void {
    this.#ask(log, { after: log.head, limit: FAR_BEHIND }, (hasMore) => hasMore && this.#ask(log, { limit: SCREEN }))
  }

  #ask(log: ConversationLog, question: Question, done: (hasMore: boolean) => void = () => undefined): void {
    log.inbox = asked(log.inbox)
    this.#page(log, question, (page, wasRefused) => {
      if (page) {
        this.fill(log)
        done(page.hasMore)
      } else log.inbox = unanswered(log.inbox, this.#core.clock.now(), wasRefused ? REFUSED_WAIT_MS : GAP_WAIT_MS)
      this.watch(log)
    })
  }

  /** Fills the highest hole from above, a page at a time. */
  fill(log: ConversationLog): void {
    const gap = highestGap(log.inbox.ranges, log.isPlaced ? log.positions.delivered_seq : undefined)
    if (!gap || !this.isSynced || this.#filling.has(log)) return
    this.#filling.add(log)
    this.#page(log, { before: gap[1] + 1, limit: Math.min(MAX_HISTORY_LIMIT, gap[1] - gap[0] + 1) }, (page) => {
      this.#filling.delete(log)
      if (page) this.fill(log)
    })
  }

  #page(log: ConversationLog, question: Question, done: PageDone): void {
    const { requests, clock } = this.#core
    requests.ask({ type: 'history', with: log.with, ...question }, (answer) => {
      if (answer?.type !== 'history') return done(undefined, answer !== undefined)
      const page = { messages: answer.messages, hasMore: answer.has_more }
      this.#apply(log, pageReceived(log.inbox, question, page, clock.now()))
      done(page, false)
    })
  }
}
