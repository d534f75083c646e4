import type { Message, UserId } from '../protocol/message.ts'
import type { Acks } from './acks.ts'
import type { ConversationLog } from './conversation-log.ts'
import type { Conversations } from './conversations.ts'
import type { Core } from './core.ts'
import { type Applied, GAP_WAIT_MS, received } from './inbox.ts'
import type { People } from './people.ts'
import type { Sender } from './sender.ts'
import type { Sync } from './sync.ts'

interface Parts {
  readonly core: Core
  readonly people: People
  readonly sender: Sender
  readonly sync: Sync
  readonly acks: Acks
  readonly conversations: Conversations
}

/** What messages mean to the rest of the client: kept, shown, told, and acknowledged when they are kept. */
export class Arrivals {
  readonly #parts: Parts
  readonly #core: Core
  readonly #counts = new Map<ConversationLog, number>()

  constructor(parts: Parts) {
    this.#parts = parts
    this.#core = parts.core
  }

  /** One message, from wherever it comes. */
  message(message: Message, isPush: boolean): void {
    const { session, logs } = this.#core
    const { type: _, ...plain } = message as Message & { type?: string }
    const other = plain.sender_id === session.userId ? plain.receiver_id : plain.sender_id
    const log = logs.of(other)
    // The server went back to before what is here, and is writing another history.
    if (log.isOther(plain)) this.reset(log)
    const before = log.inbox
    const applied = received(before, plain, log.isVerified)
    if (applied.inbox === before && isPush) this.#repeated(log, plain.seq)
    this.applied(log, applied, isPush, isPush || plain.seq === 1)
    // An own message in a conversation that the server has not told of yet: what lies before it is to be asked for.
    if (log.told === undefined) this.#parts.sync.compare()
    if (applied.applied.length === 0) this.#settled(plain)
    // What it has overtaken may come in a moment.
    this.#parts.sync.holes.watch(log, GAP_WAIT_MS)
  }

  applied(log: ConversationLog, applied: Applied<Message>, isPush = false, isNews = isPush): void {
    const { session } = this.#core
    const { epoch } = session
    log.take(applied, isNews)
    for (const message of applied.applied) {
      session.keep({ put: 'messages', row: { ...message, with: log.with }, epoch })
      this.#settled(message)
    }
    // What is held is kept too: its place in the storage does not depend on what came before.
    if (isPush) this.#parts.people.wrote(log.with)
    if (applied.applied.length > 0) this.#counts.set(log, (this.#counts.get(log) ?? 0) + applied.applied.length)
    log.isChanged = true
    this.#parts.conversations.changed(log.with)
    this.#tell(log)
    session.due()
  }

  #settled(message: Message): void {
    if (message.sender_id === this.#core.session.userId) this.#parts.sender.isStored(message)
  }

  /** In the order of the conversation, each once. */
  #tell(log: ConversationLog): void {
    if (log.isTelling || !log.isVerified) return
    const messages = log.untold()
    if (messages) this.#emit(log, messages)
    else void this.#tellKept(log)
  }

  async #tellKept(log: ConversationLog): Promise<void> {
    log.isTelling = true
    const { line } = log
    const from = log.told ?? 0
    await Promise.resolve(this.#core.session.commit())
    const messages = await this.#parts.sync.holes.kept(log, from + 1, from + 500)
    // What came of another line meanwhile is told by itself.
    if (log.line !== line) return
    log.isTelling = false
    if (log.told !== from || messages[0]?.seq !== from + 1) return
    this.#emit(
      log,
      messages.filter((message, index) => message.seq === from + 1 + index),
    )
    this.#tell(log)
  }

  #emit(log: ConversationLog, messages: readonly Message[]): void {
    for (const message of messages) {
      log.told = message.seq
      if (message.id !== '') this.#core.events.emit('message', message)
    }
  }

  #repeated(log: ConversationLog, seq: number): void {
    // It came with a page before; that it comes now says that it was not received until then.
    if (log.told === undefined && log.line === 1) log.told = seq - 1
    else if (seq <= log.positions.delivered_seq) this.#parts.acks.repeated(log)
  }

  /** A kind of entry that a later version has: it has a number, and nothing to show. */
  counted(other: UserId, seq: number): void {
    const blank = {
      id: '',
      content: '',
      created_at: '',
      sender_id: other,
      receiver_id: this.#core.session.userId,
    }
    this.message({ ...blank, seq }, false)
  }

  reset(log: ConversationLog): void {
    const { session, events } = this.#core
    log.reset()
    this.#parts.acks.forget(log)
    // What it says was read is of what is not there any more.
    session.keep({ remove: 'conversations', key: log.with, epoch: session.epoch })
    this.#parts.conversations.changed(log.with)
    events.emit('reset', { with: log.with })
    this.#parts.sync.resume(log)
    this.#parts.sync.compare()
  }

  /** It is the same as before: what came meanwhile follows, and what could not be said is said. */
  verified(log: ConversationLog): void {
    const { acks, sync } = this.#parts
    log.verified()
    const [first] = log.inbox.held
    if (first) this.message(first, false)
    acks.kept(log, 1)
    if (log.reading > 0) acks.read(log)
    this.#parts.conversations.changed(log.with)
    sync.resume(log)
  }

  /** What of the conversations has changed in this slice, as rows; acknowledged when they are kept. */
  gather(): void {
    const { session, logs } = this.#core
    const { epoch } = session
    for (const log of logs.all()) {
      // What is in doubt stays as it was kept, until it is known to be of the present line: another tab may have found that out.
      if (!log.isChanged || !log.isVerified) continue
      log.isChanged = false
      this.#tell(log)
      this.#parts.conversations.arrived(log)
      const { ranges } = log.inbox
      const { reading, line } = log
      const count = this.#counts.get(log) ?? 0
      session.keep({ put: 'conversations', row: log.kept(epoch), epoch }, () => {
        if (log.line !== line) return
        log.savedRanges = ranges
        if (reading > log.savedReading) this.#parts.acks.read(log)
        log.savedReading = reading
        this.#parts.acks.kept(log, count)
      })
    }
    this.#counts.clear()
  }
}
