import type { Message, UserId } from '../protocol/message.ts'
import {
  type Change,
  inLine,
  type Kept,
  type KeptConversation,
  type KeptMeta,
  type Storage,
  type StorageDriver,
  type StoreName,
  withRead,
} from './storage.ts'

const VERSION = 1
const KEY_PATHS = { conversations: 'with', messages: ['with', 'seq'], outbox: 'id', drafts: 'with', meta: 'key' }
const STORES = Object.keys(KEY_PATHS) as StoreName[]
/** Messages of each conversation that stay when room is needed. */
const KEPT_WHEN_TRIMMED = 100

/** What the browser has; named here, so that this file can be read where there are no types of a browser. */
interface Request<T = unknown> {
  readonly result: T
  readonly error: unknown
  onsuccess: () => void
  onerror: () => void
  onupgradeneeded?: () => void
}
interface Store {
  get<T>(key: string): Request<T | undefined>
  getAll<T>(range?: object): Request<T[]>
  put(row: object): unknown
  delete(key: unknown): unknown
}
type Stores = Readonly<Record<StoreName, Store>>
interface Transaction {
  readonly error: unknown
  oncomplete: () => void
  onabort: () => void
  objectStore(name: StoreName): Store
}
interface Database {
  readonly name: string
  onversionchange: () => void
  createObjectStore(name: string, options: object): unknown
  transaction(stores: readonly StoreName[], mode?: string, options?: object): Transaction
  close(): void
}
interface Api {
  readonly IDBKeyRange: { bound(lower: unknown, upper: unknown): object }
  readonly indexedDB: {
    open(name: string, version: number): Request<Database>
    deleteDatabase(name: string): Request<void>
  }
}
const api = (): Api => globalThis as unknown as Api

function found<T>(request: Request<T>, task: (result: T) => void): void {
  request.onsuccess = () => task(request.result)
}

function resultOf<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    found(request, resolve)
    request.onerror = () => reject(request.error)
  })
}

/** From `first` to `last` of one conversation. A bare list is a key range of one, so both ends are said. */
const between = (other: UserId, first: number, last: number): object =>
  api().IDBKeyRange.bound([other, first], [other, last])

const remove = async (name: string): Promise<void> => resultOf(api().indexedDB.deleteDatabase(name))

class IndexedDbStorage implements Storage {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async load(): Promise<Kept> {
    const kept: Partial<Record<StoreName, unknown[]>> = {}
    for (const name of STORES) if (name !== 'messages') kept[name] = await resultOf(this.#store(name).getAll())
    return kept as unknown as Kept
  }

  async messages(other: UserId, first: number, last: number): Promise<readonly Message[]> {
    return resultOf(this.#store('messages').getAll<Message>(between(other, first, last)))
  }

  #store(name: StoreName): Store {
    return this.#database.transaction([name]).objectStore(name)
  }

  write(changes: readonly Change[], isStrict: boolean): Promise<void> {
    return this.#transact(isStrict ? 'strict' : 'relaxed', (stores) => {
      found(stores.meta.get<KeptMeta>('epoch'), (present) => {
        for (const change of changes.filter(inLine(present)))
          if ('remove' in change) stores[change.remove].delete(change.key)
          else {
            const { put, row } = change
            const store = stores[put]
            if (put !== 'conversations') store.put(row)
            else found(store.get<KeptConversation>(row.with), (known) => store.put(withRead(row, known)))
          }
      })
    })
  }

  trim(): Promise<void> {
    return this.#transact('relaxed', ({ conversations, messages }) => {
      found(conversations.getAll<KeptConversation>(), (all) => {
        for (const row of all) {
          const [first = 1, head = 0] = row.ranges.at(-1) ?? []
          const from = Math.max(first, head - KEPT_WHEN_TRIMMED + 1)
          messages.delete(between(row.with, 0, from - 1))
          // Of a line of history that was left, or fetched again at worst.
          messages.delete(between(row.with, head + 1, Infinity))
          conversations.put({ ...row, ranges: head ? [[from, head]] : [] })
        }
      })
    })
  }

  /** Requests run in the order they are made; what counts is the end of the transaction. */
  async #transact(durability: string, work: (stores: Stores) => void): Promise<void> {
    const transaction = this.#database.transaction(STORES, 'readwrite', { durability })
    // Asked for once: to ask for one for each row takes longer than to put the rows.
    work(Object.fromEntries(STORES.map((name) => [name, transaction.objectStore(name)])) as Stores)
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error)
    })
  }

  destroy(): Promise<void> {
    this.close()
    return remove(this.#database.name)
  }

  close(): void {
    this.#database.close()
  }
}

/** Survives the page. One database for each server and user; all tabs of an origin share it. */
export function indexedDbStorage(): StorageDriver {
  return {
    kind: 'persistent',
    async open(name, lost) {
      const request = api().indexedDB.open(name, VERSION)
      request.onupgradeneeded = () => {
        for (const store of STORES) request.result.createObjectStore(store, { keyPath: KEY_PATHS[store] })
      }
      const database = await resultOf(request)
      database.onversionchange = () => {
        // A newer version of the page, or a logout, waits for this connection.
        database.close()
        lost('superseded')
      }
      return new IndexedDbStorage(database)
    },
    remove,
  }
}
