// Stays in the declarations, so that a project with only the standard libraries of TypeScript can import them.
/// <reference lib="esnext.disposable" preserve="true" />
import type { Message, UserId } from '../protocol/message.ts'
import { Engine, type Surroundings } from './client.ts'
import type { Conversation } from './conversation.ts'
import { host, inPage } from './environment.ts'
import { indexedDbStorage } from './indexeddb-storage.ts'
import { memoryStorage, plain } from './memory-storage.ts'
import { readMessages } from './reader.ts'
import type { StorageDriver } from './storage.ts'
import type { Store } from './stores.ts'
import { Tabs } from './tabs.ts'
import type { ClientEvents, ClientOptions, ConversationItem, Presence, Status, StorageState, User } from './types.ts'
import { Vault } from './vault.ts'

/** One user on one server. Connects by itself, and again whenever the connection is lost. */
export interface Client extends AsyncDisposable {
  readonly status: Store<Status>
  readonly storage: Store<StorageState>
  /** Newest first. */
  readonly conversations: Store<readonly ConversationItem[]>
  /** How many messages wait: ask before a logout when there are some. */
  readonly pending: Store<number>
  /** The user of this client; '' until the server has said so. */
  readonly userId: UserId
  conversation(other: UserId): Conversation
  presence(id: UserId): Store<Presence>
  user(id: UserId): Store<User | undefined>
  readonly users: {
    /** `undefined` when there is no such user. Rejects with `ChatError`. */
    get(id: UserId): Promise<User | undefined>
    search(text: string, options?: { readonly signal?: AbortSignal }): Promise<readonly User[]>
    /** Some of those who are online now. */
    online(options?: { readonly signal?: AbortSignal }): Promise<readonly UserId[]>
  }
  /** Gives back what ends it, as the signal does. */
  on<Name extends keyof ClientEvents>(
    name: Name,
    fn: (event: ClientEvents[Name]) => void,
    options?: { readonly signal?: AbortSignal },
  ): () => void
  /**
   * Every message as it comes, this user's own too, for a bot. Ends with the client, and with `overflow` when the reader is 256
   * behind.
   */
  messages(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<Message>
  /** Connects now: in place of a wait, or after the client has stopped by itself ("use it here"); not after `close` or `logout`. */
  connect(): void
  /** Ends the connection. What waits stays in the storage; what is sent from then on is cancelled at once. */
  close(): Promise<void>
  /** Ends the connection and removes everything of this user from this device, also in other tabs. */
  logout(): Promise<void>
}

/**
 * A client with a storage that cannot fail, `memoryStorage()` say, and that no other tab shares: with nothing in the bundle of
 * IndexedDB, of what guards a storage, and of tabs.
 */
export function createClientWith(options: ClientOptions & { readonly storage: StorageDriver }): Client {
  return clientOf(new Engine(options, { isLasting: true, keep: plain }))
}

function clientOf(engine: Engine): Client {
  const { core, people } = engine
  const close = (): Promise<void> => engine.leave(true)
  return {
    ...{ status: engine.status, storage: engine.storage },
    conversations: engine.conversations.list,
    pending: engine.conversations.pending,
    get userId() {
      return core.session.userId
    },
    conversation: (other) => engine.conversations.of(other),
    presence: (id) => people.presence(id),
    user: (id) => people.user(id),
    users: {
      get: (id) => people.get(id),
      search: (text, init) => people.search(text, init),
      online: (init) => people.online(init?.signal),
    },
    on: (name, fn, init) => core.events.on(name, fn, init?.signal),
    messages: (init) => readMessages(core.events, [engine.ended, init?.signal]),
    connect: () => engine.connect(),
    close,
    logout: () => engine.leave(false),
    [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]: close,
  } as Client
}

/** The client of one user. In a page everything is kept in IndexedDB, elsewhere in memory, unless `storage` says otherwise. */
export function createClient(options: ClientOptions): Client {
  const isKept = inPage() && host().indexedDB !== undefined
  const storage = options.storage ?? (isKept ? indexedDbStorage() : memoryStorage())
  const around: Surroundings = {
    isLasting: isKept || options.storage !== undefined,
    keep: (name, tools) => new Vault(name, tools),
    meet: (name, heard) => new Tabs(name, heard),
  }
  return clientOf(new Engine({ ...options, storage }, around))
}

export type { Message, Positions, UserId } from '../protocol/message.ts'
export type { Clock } from './clock.ts'
export type { Conversation } from './conversation.ts'
export { AuthError, ChatError, type FailureCode } from './errors.ts'
export type { Change, Kept, Rows, Storage, StorageDriver } from './storage.ts'
export type { Store } from './stores.ts'
export type * from './types.ts'
export { indexedDbStorage, memoryStorage }
