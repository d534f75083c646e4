import type { Message, UserId } from '../protocol/message.ts'
import { host } from './environment.ts'
import { type Keeper, type KeeperOptions, MemoryStorage } from './memory-storage.ts'
import type { Change, Kept, Storage } from './storage.ts'

/** An upgrade of IndexedDB that is blocked never settles, and some transactions never call back; a client must go on all the same. */
const ANSWER_LIMIT_MS = 3000
/** Rows of one transaction: to hand them over takes time, some 0.1 ms each, in which the page stands still. */
const MAX_BATCH = 100

interface Batch {
  readonly changes: Change[]
  isStrict: boolean
  written: Promise<void>
}

const NOTHING: Kept = { conversations: [], outbox: [], drafts: [], meta: [] }
const reasonOf = (error: unknown): string => (error instanceof Error ? error.name : String(error))

/**
 * The storage, made to never fail: what cannot be kept lives in memory, and the client says so. Writes are in the order of
 * the calls.
 */
export class Vault implements Keeper {
  readonly #options: KeeperOptions
  readonly #name: string
  #storage: Storage = new MemoryStorage()
  /** The one of the driver that was opened last; what is in it stays there when the client goes on in memory. */
  #kept: Storage | undefined
  #last: Promise<unknown> = Promise.resolve()
  /** Not begun yet: more may join it. */
  #waiting: Batch | undefined
  #isClosed = false
  #hasAsked = false

  constructor(name: string, options: KeeperOptions) {
    this.#name = name
    this.#options = options
  }

  /** What is kept. What is written before it is known waits for it. */
  open(): Promise<Kept> {
    const opened = this.#open()
    this.#last = opened
    return opened
  }

  /** Tries twice, and starts with nothing when both fail. */
  async #open(): Promise<Kept> {
    const { driver, state, warn } = this.#options
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.#reopen()
        const kept = await this.#inTime(this.#storage.load())
        if (!this.#isClosed) state.set({ kind: driver.kind })
        return kept
      } catch (error) {
        warn('no storage', error)
        if (attempt === 0 && reasonOf(error) !== 'TimeoutError') continue
        this.#forMemory(reasonOf(error))
        return NOTHING
      }
    }
  }

  /**
   * Resolves when the changes are kept as well as they can be. Never rejects. What comes while a write is under way is the next
   * one together: what is typed while thousands of messages come in does not wait for a write of each of their slices. Too many
   * for one transaction are kept in their order, the messages first: what says that they are there, and that they wait no more,
   * comes after them, in one transaction where that is no more than a hundred rows.
   */
  write(changes: readonly Change[], isStrict = false): Promise<void> {
    if (changes.length === 0 || this.#isClosed) return Promise.resolve()
    if (isStrict) this.#ask()
    const waiting = this.#waiting
    if (waiting && waiting.changes.length + changes.length <= MAX_BATCH) {
      waiting.changes.push(...changes)
      waiting.isStrict ||= isStrict
      return waiting.written
    }
    const isLong = changes.length > MAX_BATCH
    const messages = isLong ? changes.filter((change) => (change as { put?: string }).put === 'messages') : []
    const ordered = [...new Set([...messages, ...changes])]
    const end = Math.min(MAX_BATCH, messages.length || MAX_BATCH)
    const batch: Batch = { changes: ordered.slice(0, end), isStrict, written: Promise.resolve() }
    batch.written = this.#last.then(() => {
      if (this.#waiting === batch) this.#waiting = undefined
      return this.#write(batch.changes, batch.isStrict)
    })
    this.#waiting = batch
    this.#last = batch.written
    return ordered.length > end ? this.write(ordered.slice(end), isStrict) : batch.written
  }

  /** Once, and only when something of this person is worth keeping: browsers then do not clear it to make room. */
  #ask(): void {
    if (this.#hasAsked || this.#options.state.get().kind !== 'persistent') return
    this.#hasAsked = true
    void host()
      .navigator?.storage?.persist?.()
      .catch(() => undefined)
  }

  async messages(other: UserId, first: number, last: number): Promise<readonly Message[] | undefined> {
    try {
      await this.#last
      return await this.#inTime(this.#storage.messages(other, first, last))
    } catch (error) {
      this.#options.warn('not read', error)
      return undefined
    }
  }

  /** Removes everything of this user, also what was kept before the client had to go on in memory. */
  async destroy(): Promise<void> {
    const { driver, warn } = this.#options
    await this.close()
    const removed = driver.remove?.(this.#name) ?? (this.#kept ?? this.#storage).destroy()
    await this.#inTime(removed).catch((error: unknown) => warn('not removed', error))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
    this.#kept?.close()
  }

  async #write(changes: readonly Change[], isStrict: boolean): Promise<void> {
    // What was sent or taken back meanwhile is to wait no more where the next start finds it.
    const removals = this.#storage === this.#kept ? [] : changes.filter((change) => 'remove' in change)
    if (removals[0]) this.#kept?.write(removals, false).catch(() => undefined)
    for (let attempt = 0; attempt < 2; attempt += 1) {
      try {
        return await this.#inTime(this.#storage.write(changes, isStrict))
      } catch (error) {
        if (this.#isClosed) return
        this.#options.warn('not written', error)
        await this.#repair(reasonOf(error)).catch(() => undefined)
      }
    }
    this.#forMemory('write')
    return this.#write(changes, isStrict)
  }

  /** Room is made once, and a connection that was lost is made again once. */
  async #repair(reason: string): Promise<void> {
    if (reason === 'QuotaExceededError') return this.#inTime(this.#storage.trim())
    this.#storage.close()
    await this.#reopen()
  }

  async #reopen(): Promise<void> {
    const { driver } = this.#options
    this.#storage = this.#kept = await this.#inTime(driver.open(this.#name, (why) => this.#lost(why)))
  }

  #lost(why: string): void {
    // The next write opens it again; a page that must make way for another version does not.
    if (why === 'superseded') this.#forMemory(why)
  }

  #forMemory(why: string): void {
    this.#storage = new MemoryStorage()
    if (!this.#isClosed) this.#options.state.set({ kind: 'memory', why })
  }

  #inTime<T>(task: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#options.clock.after(ANSWER_LIMIT_MS, () => {
        reject(Object.assign(new Error('no answer'), { name: 'TimeoutError' }))
      })
      task.then(resolve, reject).finally(cancel)
    })
  }
}
