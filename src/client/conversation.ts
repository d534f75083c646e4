import type { UserId } from '../protocol/message.ts'
import type { Store } from './stores.ts'
import type { ConversationItem, MessageItem, Sending } from './types.ts'

/** One conversation, as an application uses it. The same object for the same person. */
export interface Conversation {
  readonly with: UserId
  /** What to show, in order: what is stored by `seq`, then what waits by the order of typing. Watching it loads the newest. */
  readonly messages: Store<readonly MessageItem[]>
  readonly summary: Store<ConversationItem>
  /** Whether the other person is typing. */
  readonly isTyping: Store<boolean>
  /** Whether there are messages above those shown. */
  readonly hasOlder: Store<boolean>
  /** Survives reloads; one for each conversation, shared by all tabs. */
  readonly draft: Store<string> & { set(text: string): void }
  /** Queues a message. It is sent when there is a connection, now or after a reload, exactly once. */
  send(text: string, options?: { readonly signal?: AbortSignal }): Sending
  /** Again, what failed or was held; the id stays, so that it is never stored twice. `undefined`: it does not wait for that. */
  retry(id: string): Sending | undefined
  /** Takes back what waits. True: it was never stored; false: it may be, and is only not tried again. */
  discard(id: string): boolean
  /** Puts the text of what waits back into the draft. False, and nothing is done, when it may be stored: it would come twice. */
  takeBack(id: string): boolean
  /** Shows 50 more; false when there are none, or they could not be read now: which of the two, `hasOlder` tells. */
  loadOlder(options?: { readonly signal?: AbortSignal }): Promise<boolean>
  /** The person has read everything up to `seq`. Told to the server, and to this person's other devices. */
  markRead(seq: number): void
  /** The person is typing; say so at each key. `false`: they have stopped. */
  typing(active?: boolean): void
}
