import type { UserId } from '../protocol/message.ts'
import type { Conversation } from './conversation.ts'
import { furthest, type PendingMessage, type PositionChange } from './store.ts'

/** What one batch does to one conversation. */
export class ConversationPart {
  readonly conversation: Conversation
  /** In order of arrival. */
  readonly messages: PendingMessage[] = []
  /** Position changes of the two people, coalesced; `lo` also stands for both ends of a conversation with oneself. */
  lo: PositionChange | undefined
  hi: PositionChange | undefined
  #fresh: readonly PendingMessage[] | undefined

  constructor(conversation: Conversation) {
    this.conversation = conversation
  }

  /** The messages that are still to be stored: all, until duplicates are found. Fixed once numbering begins. */
  get fresh(): readonly PendingMessage[] {
    this.#fresh ??= this.messages.every(isPending) ? this.messages : this.messages.filter(isPending)
    return this.#fresh
  }

  get advances(): boolean {
    return this.lo !== undefined || this.hi !== undefined
  }

  /** How many of the fresh messages, from the first on, this person wrote. */
  leadingBy(user: UserId): number {
    let count = 0
    for (const message of this.fresh) {
      if (message.sender_id !== user) break
      count += 1
    }
    return count
  }

  /** Takes out of `fresh` every message whose id came earlier in this very batch. */
  setAsideRepeats(): { message: PendingMessage; first: PendingMessage }[] {
    const firstById = new Map<string, PendingMessage>()
    const repeats: { message: PendingMessage; first: PendingMessage }[] = []
    const fresh: PendingMessage[] = []
    for (const message of this.messages) {
      if (message.fate !== 'pending') continue
      const first = firstById.get(message.id)
      if (first) {
        repeats.push({ message, first })
      } else {
        firstById.set(message.id, message)
        fresh.push(message)
      }
    }
    this.#fresh = fresh
    return repeats
  }

  /** The conversation takes none of the messages that it does not have yet. */
  refuseNew(): void {
    for (const message of this.messages) if (message.fate === 'pending') message.fate = 'closed'
    this.#fresh = []
  }

  /** The head of a conversation to which this batch adds nothing. */
  foundHead(head: number): void {
    for (const message of this.messages) if (message.fate === 'duplicate') message.isNewest = message.seq === head
  }

  advance(change: PositionChange): void {
    if (change.user === this.conversation.lo) this.lo = this.lo ? furthest(this.lo, change) : change
    else this.hi = this.hi ? furthest(this.hi, change) : change
  }

  /** Back to the state before the commit was tried. */
  reset(): void {
    for (const message of this.messages) {
      message.fate = 'pending'
      message.seq = 0
      message.created_at = ''
      message.isNewest = false
    }
    this.#fresh = undefined
  }
}

function isPending({ fate }: PendingMessage): boolean {
  return fate === 'pending'
}

export function partsByConversation(
  messages: readonly PendingMessage[],
  positions: readonly PositionChange[],
): ConversationPart[] {
  const parts = new Map<string, ConversationPart>()
  const partOf = (conversation: Conversation): ConversationPart => {
    const known = parts.get(conversation.key)
    if (known) return known
    const part = new ConversationPart(conversation)
    parts.set(conversation.key, part)
    return part
  }
  for (const message of messages) partOf(message.conversation).messages.push(message)
  for (const change of positions) partOf(change.conversation).advance(change)
  return [...parts.values()]
}
