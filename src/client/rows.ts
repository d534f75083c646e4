import type { Message, UserId } from '../protocol/message.ts'
import type { ConversationLog } from './conversation-log.ts'
import { type Entry, isAside, isUnstored, type Queue } from './outbox.ts'
import { tickOf } from './ticks.ts'
import type { MessageItem, MessageState } from './types.ts'

/** Makes the rows that are shown; a row stays the same object as long as nothing of it changes. */
export class Rows {
  readonly #rows = new WeakMap<object, MessageItem>()
  readonly #tab: string

  constructor(tab: string) {
    this.#tab = tab
  }

  of(log: ConversationLog, queue: Queue, me: UserId): readonly MessageItem[] {
    const rows: MessageItem[] = []
    for (const message of log.items) if (message.id !== '') rows.push(this.stored(message, log, me))
    // Stored, but something before it has not come yet: it must not vanish until then.
    for (const message of log.inbox.held) if (message.sender_id === me) rows.push(this.stored(message, log, me))
    for (const entry of queue) rows.push(this.waiting(entry, me))
    return rows
  }

  stored(message: Message, { positions }: ConversationLog, me: UserId): MessageItem {
    const state: MessageState = message.sender_id === me ? tickOf(message.seq, positions) : 'received'
    const known = this.#rows.get(message)
    if (known?.state === state) return known
    const row = { ...message, state }
    this.#rows.set(message, row)
    return row
  }

  waiting(entry: Entry, me: UserId): MessageItem {
    const known = this.#rows.get(entry)
    if (known) return known
    const { id, content, state, wasWritten, code } = entry
    const isLeft = isAside(state)
    const row: MessageItem = {
      ...{ id, sender_id: me, receiver_id: entry.with, content },
      state: isLeft ? state : wasWritten ? 'sending' : 'queued',
      ...(isLeft && code !== undefined && { code }),
      ...(isUnstored(entry, this.#tab) && { isUnstored: true }),
    }
    this.#rows.set(entry, row)
    return row
  }
}
