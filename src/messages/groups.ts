import type { UserId } from '../protocol/message.ts'
import type { Conversation } from './conversation.ts'
import { furthest, type PendingMessage, type PositionChange } from './store.ts'

/** What one batch does to one conversation. */
export class Group {
  readonly conversation: Conversation
  /** In order of arrival. */
  readonly messages: PendingMessage[] = []
  /** Position changes of the two people, coalesced; `lo` also stands for both ends of a conversation with oneself. */
  lo: PositionChange | undefined
  hi: PositionChange | undefined
  #fresh: PendingMessage[] | undefined

  constructor(conversation: Conversation) {
    this.conversation = conversation
  }

  /** The messages that are still to be stored: all, until duplicates are found. Fixed once numbering begins. */
  get fresh(): readonly PendingMessage[] {
    this.#fresh ??= this.messages.filter((message) => message.fate === 'pending')
    return this.#fresh
  }

  get moves(): boolean {
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

  move(change: PositionChange): void {
    if (change.user === this.conversation.lo) this.lo = this.lo ? furthest(this.lo, change) : change
    else this.hi = this.hi ? furthest(this.hi, change) : change
  }

  /** Back to the state before the commit was tried. */
  reset(): void {
    for (const message of this.messages) {
      message.fate = 'pending'
      message.seq = 0
      message.created_at = ''
    }
    this.#fresh = undefined
  }
}

export function groupByConversation(
  messages: readonly PendingMessage[],
  positions: readonly PositionChange[],
): Group[] {
  const groups = new Map<string, Group>()
  const groupOf = (conversation: Conversation): Group => {
    const known = groups.get(conversation.key)
    if (known) return known
    const group = new Group(conversation)
    groups.set(conversation.key, group)
    return group
  }
  for (const message of messages) groupOf(message.conversation).messages.push(message)
  for (const change of positions) groupOf(change.conversation).move(change)
  return [...groups.values()]
}
