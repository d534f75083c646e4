import type { ConversationSummary, Message, Positions, UserId } from '../../protocol/message.ts'

interface Stored {
  readonly messages: Message[]
  readonly delivered: Map<UserId, number>
  readonly read: Map<UserId, number>
  /** When something of it changed last. */
  changedAt: string
}

interface PageRequest {
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly limit?: number | undefined
}

/** What a server keeps: every conversation, numbered without gaps, and how far each person is. */
export class FakeLog {
  readonly #all = new Map<string, Stored>()
  readonly #now: () => string

  constructor(now: () => string) {
    this.#now = now
  }

  of(one: UserId, other: UserId): Stored {
    const key = [one, other].toSorted().join(' ')
    let stored = this.#all.get(key)
    if (!stored) {
      stored = { messages: [], delivered: new Map(), read: new Map(), changedAt: '' }
      this.#all.set(key, stored)
    }
    return stored
  }

  /** Stores a message once; the same id with other content is a conflict. */
  store(sender: UserId, receiver: UserId, fields: { readonly id: string; readonly content: string }) {
    const stored = this.of(sender, receiver)
    const { messages, delivered, read } = stored
    const known = messages.find(({ id }) => id === fields.id)
    if (known) return { message: known, fate: known.content === fields.content ? 'duplicate' : 'conflict' } as const
    const seq = messages.length + 1
    const message = { ...fields, seq, sender_id: sender, receiver_id: receiver, created_at: this.#now() }
    messages.push(message)
    stored.changedAt = message.created_at
    for (const position of [delivered, read]) if ((position.get(sender) ?? 0) === seq - 1) position.set(sender, seq)
    return { message, fate: 'stored' } as const
  }

  page(one: UserId, other: UserId, request: PageRequest) {
    const { after = 0, before = Number.POSITIVE_INFINITY, limit = 50 } = request
    const within = this.of(one, other).messages.filter(({ seq }) => seq > after && seq < before)
    const messages = request.after === undefined ? within.slice(-limit) : within.slice(0, limit)
    return { messages, has_more: messages.length < within.length }
  }

  positions(me: UserId, other: UserId): Positions {
    const { delivered, read } = this.of(me, other)
    return {
      delivered_seq: delivered.get(me) ?? 0,
      read_seq: read.get(me) ?? 0,
      peer_delivered_seq: delivered.get(other) ?? 0,
      peer_read_seq: read.get(other) ?? 0,
    }
  }

  /** True when something moved. Undefined: the position is above the last message. */
  move(me: UserId, other: UserId, seq: number, isRead: boolean): boolean | undefined {
    const stored = this.of(me, other)
    const { messages, delivered, read } = stored
    if (seq > messages.length) return undefined
    const moved = (delivered.get(me) ?? 0) < seq || (isRead && (read.get(me) ?? 0) < seq)
    delivered.set(me, Math.max(delivered.get(me) ?? 0, seq))
    if (isRead) read.set(me, Math.max(read.get(me) ?? 0, seq))
    if (moved) stored.changedAt = this.#now()
    return moved
  }

  /** Back to before the newest messages of each conversation, with the positions that speak of them. */
  setBack(lost: number): void {
    for (const stored of this.#all.values()) {
      const { messages, delivered, read } = stored
      messages.length = Math.max(0, messages.length - lost)
      stored.changedAt = messages.at(-1)?.created_at ?? ''
      for (const position of [delivered, read])
        for (const [user, seq] of position) position.set(user, Math.min(seq, messages.length))
    }
  }

  partners(me: UserId): readonly UserId[] {
    return [...this.#all]
      .filter(([, { messages }]) => messages.length > 0)
      .map(([key]) => key.split(' '))
      .filter((pair) => pair.includes(me))
      .map(([lo = '', hi = '']) => (lo === me ? hi : lo))
  }

  summaries(me: UserId): readonly ConversationSummary[] {
    return this.partners(me).map((other) => {
      const { messages } = this.of(me, other)
      const positions = this.positions(me, other)
      const unread = messages.filter(({ seq, sender_id }) => seq > positions.read_seq && sender_id !== me).length
      return {
        ...{ with: other, last_seq: messages.length, last_message: messages.at(-1) ?? null },
        ...positions,
        unread: Math.min(unread, 100),
      }
    })
  }

  /** A page of the list, in the order in which the conversations began. */
  list(
    me: UserId,
    { limit = 50, cursor }: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
  ) {
    const all = this.summaries(me)
    const end = Number(cursor ?? 0) + limit
    const conversations = all.slice(end - limit, end)
    return { conversations, next_cursor: end < all.length ? String(end) : null }
  }
}
