import type { Receipt } from '../protocol/events.ts'
import type { UserId } from '../protocol/message.ts'
import type { Acks } from './acks.ts'
import type { Conversation } from './conversation.ts'
import { type ConversationLog, SCREEN } from './conversation-log.ts'
import type { Core } from './core.ts'
import { Drafts } from './drafts.ts'
import { isUnstored } from './outbox.ts'
import type { People } from './people.ts'
import { Rows } from './rows.ts'
import type { Sender } from './sender.ts'
import type { KeptDraft } from './storage.ts'
import { Cell, View } from './stores.ts'
import type { Sync } from './sync.ts'
import type { ConversationItem, MessageItem } from './types.ts'

interface Parts {
  readonly core: Core
  readonly people: People
  readonly sender: Sender
  readonly sync: Sync
  readonly acks: Acks
  /** Whether a person looks at this client. */
  readonly isAttended: () => boolean
}

interface Views {
  readonly conversation: Conversation
  readonly messages: View<readonly MessageItem[]>
  readonly summary: View<ConversationItem>
  readonly hasOlder: View<boolean>
  readonly draft: Cell<string>
}

/** What an application sees of the conversations. */
export class Conversations {
  readonly #parts: Parts
  readonly #core: Core
  readonly #views = new Map<UserId, Views>()
  readonly #rows: Rows
  /** Conversations whose messages somebody has asked for. */
  readonly #used = new Set<UserId>()
  readonly #loading = new Set<ConversationLog>()
  readonly #summaries = new Map<UserId, ConversationItem>()
  readonly drafts: Drafts
  readonly list: View<readonly ConversationItem[]>
  readonly pending: View<number>

  constructor(parts: Parts) {
    this.#parts = parts
    this.#core = parts.core
    this.#rows = new Rows(parts.sender.tab)
    const { notifier } = parts.core
    this.drafts = new Drafts(parts.core, (other, text) => {
      this.#views.get(other)?.draft.set(text)
      this.changed(other)
    })
    this.list = new View(notifier, () => this.#sorted())
    this.pending = new View(notifier, () => parts.sender.queues.size)
  }

  of(other: UserId): Conversation {
    return this.#viewsOf(other).conversation
  }

  /** Something of this conversation is different now. */
  changed(other: UserId): void {
    this.#summaries.delete(other)
    const views = this.#views.get(other)
    views?.messages.invalidate()
    views?.summary.invalidate()
    views?.hasOlder.invalidate()
    this.list.invalidate()
    this.pending.invalidate()
    this.#core.session.due()
  }

  receipt({ with: other, delivered_seq, read_seq, user_id }: Receipt): void {
    const { logs, events } = this.#core
    const log = logs.of(other)
    const isOwn = user_id !== undefined
    const moved = isOwn
      ? log.move({ delivered_seq, read_seq })
      : log.move({ peer_delivered_seq: delivered_seq, peer_read_seq: read_seq })
    if (!moved) return
    this.changed(other)
    events.emit('receipt', { with: other, ...log.positions })
  }

  restore(drafts: readonly KeptDraft[]): void {
    this.drafts.restore(drafts)
    for (const log of this.#core.logs.all()) this.changed(log.with)
    for (const [other, { messages }] of this.#views) {
      this.#core.logs.of(other).isOpen = messages.isWatched
      if (this.#used.has(other)) this.#load(other)
    }
  }

  clear(): void {
    this.drafts.clear()
    for (const other of this.#views.keys()) this.changed(other)
    this.#summaries.clear()
    this.list.invalidate()
  }

  #viewsOf(other: UserId): Views {
    const views = this.#views.get(other) ?? this.#make(other)
    this.#views.set(other, views)
    return views
  }

  #make(other: UserId): Views {
    const core = this.#core
    const { people, sender } = this.#parts
    const { notifier, logs } = core
    const log = (): ConversationLog => logs.of(other)
    let shown: readonly MessageItem[] = []
    const rows = (): readonly MessageItem[] => {
      const present = this.#rows.of(log(), sender.queues.of(other), core.session.userId)
      // The same list while it holds the same rows: what was acknowledged, say, is nothing to render.
      if (present.length !== shown.length || present.some((row, index) => row !== shown[index])) shown = present
      return shown
    }
    const messages = new View(notifier, rows, (is) => {
      log().isOpen = is
    })
    const use = (): void => this.#use(other)
    const summary = new View(notifier, () => this.#summary(log()))
    const hasOlder = new View(notifier, () => (log().items[0]?.seq ?? log().lastSeq + 1) > 1)
    const draft = new Cell(notifier, this.drafts.of(other))
    const conversation: Conversation = {
      ...{ with: other, summary, hasOlder, isTyping: people.typing(other) },
      // Who only sends needs no history.
      get messages() {
        use()
        return messages
      },
      draft: { get: draft.get, subscribe: draft.subscribe, set: (text) => this.drafts.write(other, text) },
      send: (text, options) => {
        people.tell(other, false)
        return sender.send(other, text, options?.signal)
      },
      retry: (id) => sender.retry(id),
      discard: (id) => sender.discard(id),
      takeBack: (id) => this.#takeBack(other, id),
      loadOlder: (options) => this.#older(log(), options?.signal),
      markRead: (seq) => this.#read(log(), seq),
      typing: (active = true) => people.tell(other, active),
    }
    return { conversation, messages, summary, hasOlder, draft }
  }

  #use(other: UserId): void {
    if (this.#used.has(other)) return
    this.#used.add(other)
    this.#load(other)
  }

  /** The newest messages, from wherever they are to be had. */
  #load(other: UserId): void {
    const log = this.#core.logs.of(other)
    log.isUsed = true
    if (log.items.length < SCREEN && log.items[0]?.seq !== 1) void this.#older(log)
    this.#parts.sync.holes.watch(log)
  }

  /** From the storage where it is there without a gap, else from the server. */
  async #older(log: ConversationLog, signal?: AbortSignal): Promise<boolean> {
    const { sync } = this.#parts
    const first = log.items[0]?.seq ?? log.head + 1
    if (first === 1 && log.items.length > 0) return false
    const [from] = log.inbox.ranges.at(-1) ?? [1]
    const wanted = Math.max(from, first - SCREEN)
    const { line } = log
    const { ranges } = log.inbox
    const kept = first > wanted ? await sync.holes.kept(log, wanted, first - 1) : []
    if (signal?.aborted || log.line !== line) return false
    // Some of it was broken: what is whole above that is shown all the same.
    if (kept.length < first - wanted && log.inbox.ranges !== ranges) return this.#older(log, signal)
    if (first !== (log.items[0]?.seq ?? log.head + 1)) return false
    if (kept.length > 0 && kept.length === first - wanted) {
      log.prepend(kept)
      this.changed(log.with)
      return true
    }
    return new Promise((resolve) => sync.holes.older(log, resolve))
  }

  /** A person looks at this client again. */
  attended(): void {
    for (const log of this.#core.logs.all()) this.#read(log)
  }

  /** Something of this conversation is here that was not. */
  arrived(log: ConversationLog): void {
    this.#read(log)
    if (!log.isUsed || !log.isShort || this.#loading.has(log)) return
    this.#loading.add(log)
    void this.#older(log).finally(() => this.#loading.delete(log))
  }

  #read(log: ConversationLog, seen = log.seen): void {
    if (seen > log.lastSeq) return
    log.seen = Math.max(log.seen, seen)
    const seq = Math.min(log.seen, log.readable())
    if (seq <= log.positions.read_seq || !log.isVerified || !this.#parts.isAttended()) return
    log.read(seq)
    this.changed(log.with)
    // Kept before it is said: after a reload it is said again.
    this.#core.session.due()
    this.#parts.acks.read(log)
  }

  #takeBack(other: UserId, id: string): boolean {
    const { sender } = this.#parts
    const entry = sender.queues.find(id)
    if (!entry || !isUnstored(entry, sender.tab)) return false
    sender.discard(id)
    const draft = this.drafts.of(other)
    this.drafts.write(other, draft.trim() === '' ? entry.content : `${entry.content}\n${draft}`)
    return true
  }

  #summary(log: ConversationLog): ConversationItem {
    const known = this.#summaries.get(log.with)
    if (known) return known
    const core = this.#core
    const { sender } = this.#parts
    const me = core.session.userId
    const waiting = sender.queues.of(log.with).at(-1)
    const { lastMessage } = log
    const last = waiting ? this.#rows.waiting(waiting, me) : lastMessage && this.#rows.stored(lastMessage, log, me)
    const draft = this.drafts.of(log.with)
    const item = {
      with: log.with,
      last_seq: log.lastSeq,
      ...log.positions,
      last_message: last,
      unread: log.unread,
      draft,
    }
    this.#summaries.set(log.with, item)
    return item
  }

  /** By last activity; what waits is newer than all that is stored. */
  #sorted(): readonly ConversationItem[] {
    const core = this.#core
    const { sender } = this.#parts
    // A conversation may consist of what waits, or of a draft, alone.
    for (const other of [...sender.queues.conversations(), ...this.drafts.conversations()]) core.logs.of(other)
    const shown = [...core.logs.all()].map((log) => this.#summary(log))
    const withSomething = shown.filter(
      ({ last_seq, last_message, draft }) => last_seq > 0 || last_message || draft !== '',
    )
    const timeOf = ({ last_message }: ConversationItem): string => last_message?.created_at ?? (last_message ? '~' : '')
    return withSomething.sort((a, b) => Number(timeOf(b) > timeOf(a)) - Number(timeOf(b) < timeOf(a)))
  }
}
