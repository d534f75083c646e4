import { type Conversation, conversationBetween } from '../messages/conversation.ts'
import type { Message, UserId } from '../protocol/message.ts'

interface Delivery {
  readonly id: string
  readonly seq: number
  /** When it was written to the connections; milliseconds since the epoch. */
  readonly atMs: number
}

/** The oldest go: a receiver may never acknowledge. */
const MAX_REMEMBERED = 10_000

/** Traced messages that were written to connections of their receiver here, until they are acknowledged. */
export class Deliveries {
  readonly #byReceiver = new Map<string, Delivery[]>()
  #size = 0

  note(
    { id, seq, sender_id, receiver_id }: Pick<Message, 'id' | 'seq' | 'sender_id' | 'receiver_id'>,
    atMs: number,
  ): void {
    const key = keyOf(conversationBetween(sender_id, receiver_id), receiver_id)
    const known = this.#byReceiver.get(key) ?? []
    known.push({ id, seq, atMs })
    this.#byReceiver.set(key, known)
    this.#size += 1
    while (this.#size > MAX_REMEMBERED) this.#forgetOldest()
  }

  /** What this position covers; each is told once. */
  acknowledged(conversation: Conversation, user: UserId, delivered: number): readonly Delivery[] {
    const key = keyOf(conversation, user)
    const known = this.#byReceiver.get(key)
    if (!known) return []
    const left = known.filter(({ seq }) => seq > delivered)
    this.#size -= known.length - left.length
    if (left.length > 0) this.#byReceiver.set(key, left)
    else this.#byReceiver.delete(key)
    return known.filter(({ seq }) => seq <= delivered)
  }

  #forgetOldest(): void {
    for (const [key, known] of this.#byReceiver) {
      this.#byReceiver.delete(key)
      this.#size -= known.length
      return
    }
  }
}

function keyOf(conversation: Conversation, receiver: UserId): string {
  return `${receiver === conversation.lo ? '<' : '>'}${conversation.key}`
}
