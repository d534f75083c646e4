import type { Message, UserId } from '../protocol/message.ts'
import type { Clock } from './clock.ts'
import {
  type Change,
  inLine,
  type Kept,
  type Rows,
  type Storage,
  type StorageDriver,
  type StoreName,
} from './storage.ts'
import type { Cell } from './stores.ts'
import type { StorageState } from './types.ts'

type Maps = { readonly [Name in Exclude<StoreName, 'messages'>]: Map<string, Rows[Name]> }

/** Keeps everything as long as the process lives. */
export class MemoryStorage implements Storage {
  readonly #maps: Maps = { conversations: new Map(), outbox: new Map(), drafts: new Map(), meta: new Map() }
  readonly #messages = new Map<UserId, Map<number, Message>>()

  async load(): Promise<Kept> {
    const rows = Object.entries(this.#maps).map(([name, map]) => [name, [...map.values()]])
    return Object.fromEntries(rows)
  }

  async messages(other: UserId, first: number, last: number): Promise<readonly Message[]> {
    const all = this.#messages.get(other)
    const found: Message[] = []
    for (let seq = first; all && seq <= last; seq += 1) {
      const message = all.get(seq)
      if (message) found.push(message)
    }
    return found
  }

  async write(changes: readonly Change[]): Promise<void> {
    const isInLine = inLine(this.#maps.meta.get('epoch'))
    for (const change of changes) if (isInLine(change)) this.#apply(change)
  }

  #apply(change: Change): void {
    if ('remove' in change) this.#maps[change.remove].delete(change.key)
    else if (change.put === 'messages') {
      const { row } = change
      const all = this.#messages.get(row.with) ?? new Map<number, Message>()
      this.#messages.set(row.with, all.set(row.seq, row))
    } else {
      const row: { readonly key?: string; readonly id?: string; readonly with?: UserId } = change.row
      this.#maps[change.put].set(row.key ?? row.id ?? row.with ?? '', change.row as never)
    }
  }

  async trim(): Promise<void> {
    // There is room as long as the process lives.
  }

  async destroy(): Promise<void> {
    for (const map of Object.values(this.#maps)) map.clear()
    this.#messages.clear()
  }

  close(): void {
    // Nothing is held open; who opens the same driver again finds what was kept.
  }
}

export interface KeeperOptions {
  readonly driver: StorageDriver
  readonly clock: Clock
  readonly state: Cell<StorageState>
  readonly warn: (message: string, error?: unknown) => void
}

/** A storage as the rest of the client uses it: it never fails, and may be written to before it is open. */
export interface Keeper extends Pick<Storage, 'destroy'> {
  open(): Promise<Kept>
  /** `undefined`: they could not be read, which does not say that they are not there. */
  messages(...range: Parameters<Storage['messages']>): Promise<readonly Message[] | undefined>
  write(changes: readonly Change[], isStrict?: boolean): Promise<void>
  close(): Promise<void>
}

/** Takes a storage at its word: for one that cannot fail. */
export function plain(name: string, { driver, state }: KeeperOptions): Keeper {
  const opened = driver.open(name, () => undefined)
  return {
    async open() {
      const kept = await (await opened).load()
      state.set({ kind: driver.kind })
      return kept
    },
    messages: async (other, first, last) => (await opened).messages(other, first, last),
    write: async (changes, isStrict = false) => (await opened).write(changes, isStrict),
    destroy: async () => (await opened).destroy(),
    close: async () => (await opened).close(),
  }
}

/** One storage a name, so that a client made anew in the same process finds what the one before kept. */
export function memoryStorage(): StorageDriver {
  const all = new Map<string, MemoryStorage>()
  return {
    kind: 'memory',
    async open(name) {
      const storage = all.get(name) ?? new MemoryStorage()
      all.set(name, storage)
      return storage
    },
  }
}
