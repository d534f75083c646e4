import type { Synced, Welcome } from '../protocol/events.ts'
import { MAX_FRAME_BYTES, MAX_LIST_LIMIT, MAX_SYNC_HEADS } from '../protocol/limits.ts'
import type { ConversationChange, ConversationSummary } from '../protocol/message.ts'
import type { Acks } from './acks.ts'
import { Alarm } from './clock.ts'
import type { ConversationLog } from './conversation-log.ts'
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
  readonly reset: (log: ConversationLog) => void
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

  constructor(options: SyncOptions) {
    this.#options = options
    this.#core = options.core
    this.holes = new Holes(options.core, options.apply)
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
    for (const log of logs.all()) if (log.isOpen && log.head > 0 && !isOther) this.holes.catchUp(log)
  }

  synced({ server_time }: Synced): void {
    this.holes.isSynced = true
    this.#syncedAt = server_time
    const { logs } = this.#core
    for (const log of logs.all()) {
      // Opened while there was no connection, and nothing of it is kept here.
      if (log.isUsed && log.items.length === 0) this.holes.older(log, () => logs.changed(log))
      // What was known to be missing when the last connection, or the last program, ended.
      else if (log.inbox.ranges.length > 0) this.#reaches(log, log.lastSeq)
    }
    this.compare()
  }

  lost(): void {
    this.holes.lost()
    this.#compares.clear()
  }

  stop(): void {
    this.lost()
    this.holes.stop()
  }

  woke(): void {
    if (this.#core.clock.now() - this.#comparedAt >= COMPARE_AGAIN_MS) this.compare()
  }

  /** Compares every conversation with the server's. */
  compare(): void {
    const { acks } = this.#options
    const { session, logs, requests, random, clock } = this.#core
    if (!this.holes.isSynced) return
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
      for (const log of logs.all()) this.holes.fill(log)
      // Only the list has the last message and the number of unread ones where not every message is here.
      if (isPoor) this.#list(FIRST_LIST)
      this.holes.check()
    })
  }

  #listAll(cursor: string | undefined, said: ReturnType<Acks['said']>): void {
    this.#list(cursor === undefined ? FIRST_LIST : MAX_LIST_LIMIT / 2, cursor, (next) => {
      if (next !== null) return this.#listAll(next, said)
      this.#options.acks.confirmed(said)
      this.#set('since', this.#syncedAt)
      for (const log of this.#core.logs.all()) this.holes.fill(log)
    })
  }

  #list(limit: number, cursor?: string, done?: (next: string | null) => void): void {
    const { requests } = this.#core
    requests.ask({ type: 'conversations', limit, ...(cursor !== undefined && { cursor }) }, (answer) => {
      if (answer?.type !== 'conversations') return
      for (const summary of answer.conversations) this.#listed(summary)
      done?.(answer.next_cursor)
      this.holes.check()
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
      log.inbox.ranges.length > 0 || log.isUsed || (this.holes.isSynced && lastSeq > log.positions.delivered_seq)
    // Before `synced` the rest is on its way: only what would take long to come is asked for.
    const isComing = !this.holes.isSynced && (!log.isUsed || lastSeq - log.head <= FAR_BEHIND)
    if (isWanted && !isComing) log.inbox = reachesTo(log.inbox, lastSeq, this.#core.clock.now())
    else log.inbox = { ...log.inbox, top: Math.max(log.inbox.top, lastSeq) }
    this.holes.watch(log)
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
    return (here ?? (await this.holes.kept(log, seq, seq))[0])?.id
  }

  #set(key: 'since' | 'epoch', value: string): void {
    const { session } = this.#core
    session[key] = value
    session.keep({ put: 'meta', row: { key, value } })
  }
}
