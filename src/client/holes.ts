import { MAX_HISTORY_LIMIT } from '../protocol/limits.ts'
import type { Message } from '../protocol/message.ts'
import { Alarm } from './clock.ts'
import { type ConversationLog, SCREEN } from './conversation-log.ts'
import type { Core } from './core.ts'
import {
  type Applied,
  FAR_BEHIND,
  GAP_WAIT_MS,
  type HistoryPage,
  pageReceived,
  type Question,
  questionOf,
} from './inbox.ts'
import { highestGap, rangeAt } from './ranges.ts'
import type { Answer } from './requests.ts'
import { isMessage } from './wire.ts'

/** What is refused for good, or does not join, is asked again when the next comparison is due. */
const REFUSED_WAIT_MS = 60_000
/** New rows of one picture: where a page lays out all of them, 500 are 50 ms in which it stands still. */
const MAX_SHOWN = 100

/** What a page has brought. */
export type Apply = (log: ConversationLog, applied: Applied<Message>) => void
type Page = HistoryPage<Message>
type Waits = Map<ConversationLog, number>

/** Fetches what conversations lack, a page of the history at a time. */
export class Holes {
  readonly #core: Core
  readonly #apply: Apply
  readonly #torn: () => void
  readonly #alarm: Alarm
  /**
   * When to ask for what a conversation lacks above its head, and for its highest hole: one that cannot be filled holds up nothing
   * that is new. Infinity: a page is on its way.
   */
  readonly #above: Waits = new Map()
  readonly #below: Waits = new Map()
  /** Whether all that the server brings by itself has come. */
  isSynced = false

  /** `torn`: a page has ended before it should, so that the server may have gone back. */
  constructor(core: Core, apply: Apply, torn: () => void) {
    this.#core = core
    this.#apply = apply
    this.#torn = torn
    this.#alarm = new Alarm(core.clock, () => this.check())
  }

  lost(): void {
    this.isSynced = false
    this.#above.clear()
    this.#below.clear()
    this.#alarm.clear()
  }

  /** What waits, and is due. Called on every slice of frames too: the timers of a hidden page come late. */
  check(): void {
    for (const log of [...this.#above.keys(), ...this.#below.keys()]) this.watch(log)
  }

  /** Asks for what this conversation lacks; what lies above its head, when that is new, after so long. */
  watch(log: ConversationLog, waitMs = 0): void {
    if (!this.#core.link.isWelcomed || !log.isVerified) return
    const { inbox, positions, told, isUsed, isPlaced } = log
    const { delivered_seq } = positions
    const above = questionOf(inbox, delivered_seq)
    // Before `synced` the rest is on its way; only somebody who looks at a conversation does not wait for what is long in coming.
    const isDue = this.isSynced || (isUsed && above?.after === undefined)
    this.#askIn(this.#above, log, isDue ? above : undefined, waitMs)
    if (above || !this.isSynced) return
    const gap = highestGap(inbox.ranges, isPlaced ? Math.min(delivered_seq, told ?? delivered_seq) : undefined)
    const below = gap && { before: gap[1] + 1, limit: Math.min(MAX_HISTORY_LIMIT, gap[1] - gap[0] + 1) }
    this.#askIn(this.#below, log, below, 0)
  }

  #askIn(waits: Waits, log: ConversationLog, question: Question | undefined, waitMs: number): void {
    const now = this.#core.clock.now()
    const due = waits.get(log) ?? now + waitMs
    if (due > now && (question || due === Number.POSITIVE_INFINITY)) {
      waits.set(log, due)
      this.#alarm.at(due)
    } else {
      waits.delete(log)
      if (question) this.#ask(waits, log, question)
    }
  }

  /** The page of the history right below what is shown, from the server. */
  older(log: ConversationLog, done?: (isOlder: boolean) => void): void {
    const first = (): number | undefined => log.items[0]?.seq
    const before = first()
    this.#page(log, { before, limit: SCREEN }, (page) => {
      const shown = first() ?? Number.POSITIVE_INFINITY
      if (page) log.prepend(page.messages.filter(({ seq }) => seq < shown))
      this.#core.logs.changed(log)
      // A page that does not join what is shown, as of a database that was set back, is no reason to ask for it again and again.
      done?.(page !== undefined && first() !== before)
    })
  }

  /**
   * What is kept from `first` to `last`. Rows that are broken or gone, of a disk that fails, are no reason to stop: the server
   * has them.
   */
  async kept(log: ConversationLog, first: number, last: number): Promise<readonly Message[]> {
    const { session, warn } = this.#core
    const { line, inbox } = log
    // What has just come in place of a broken row is read, and not that row again.
    session.commit()
    const rows = await session.vault?.messages(log.with, first, last)
    if (!rows || log.line !== line) return []
    // Under numbers that are not here yet there may be messages of a line of history that was left.
    const whole = rows.filter((row) => isMessage(row) && rangeAt(inbox.ranges, row.seq))
    const there = new Set(whole.map(({ seq }) => seq))
    let lacking = 0
    for (let seq = first; seq <= last; seq += 1)
      if (rangeAt(inbox.ranges, seq) && !there.has(seq)) {
        lacking += 1
        log.lack(seq)
      }
    if (lacking) {
      warn('messages fetched again', lacking)
      this.watch(log)
    }
    return whole
  }

  /** What was missed in one conversation, in place of waiting for its turn. */
  catchUp(log: ConversationLog): void {
    this.#ask(this.#above, log, { after: log.head, limit: FAR_BEHIND })
  }

  #ask(waits: Waits, log: ConversationLog, question: Question): void {
    waits.set(log, Number.POSITIVE_INFINITY)
    this.#page(log, question, (page, waitMs) => {
      // The connection has gone while it was shown.
      if (!waits.has(log)) return
      // The newest of it when that is too much.
      if (page?.hasMore && question.after !== undefined) return this.#ask(waits, log, { limit: SCREEN })
      waits.set(log, this.#core.clock.now() + waitMs)
      this.watch(log)
    })
  }

  /** `done` gets no page when the question was refused or is void; and how long to wait before the next. */
  #page(log: ConversationLog, question: Question, done: (page: Page | undefined, waitMs: number) => void): void {
    const { line } = log
    if (!log.isVerified) return done(undefined, 0)
    const answered = (answer: Answer | undefined, after = question.after): void => {
      if (answer && log.line !== line) return done(undefined, 0)
      if (answer?.type !== 'history') return done(undefined, REFUSED_WAIT_MS)
      const messages = answer.messages as Message[]
      const rest = after === undefined ? [] : messages.splice(MAX_SHOWN)
      const hasMore = answer.has_more
      // What a later part says is the last may have come to be so no more.
      const isPart = after !== question.after || rest.length > 0
      this.#apply(log, pageReceived(log.inbox, { ...question, after }, { messages, hasMore: hasMore || isPart }))
      if (rest[0])
        return this.#core.notifier.changed(() => answered({ ...answer, messages: rest }, messages.at(-1)?.seq))
      const isTorn = question.before && messages.at(-1)?.seq !== question.before - 1
      if (isTorn) this.#torn()
      done({ messages, hasMore }, isTorn ? REFUSED_WAIT_MS : question.before ? 0 : GAP_WAIT_MS)
    }
    this.#core.requests.ask({ type: 'history', with: log.with, ...question }, answered)
  }
}
