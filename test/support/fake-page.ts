// What a page has around a client, as far as the client uses it: a document, a database, locks, and a storage that is its own.
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import { vi } from 'vitest'

/** Web Locks of one origin. */
class FakeLocks {
  readonly #held = new Set<string>()
  #waiting: { readonly name: string; readonly run: () => void }[] = []

  request<T>(
    name: string,
    { ifAvailable, signal }: { ifAvailable?: boolean; signal?: AbortSignal },
    task: (lock: unknown) => Promise<T> | T,
  ): Promise<T> {
    if (this.#held.has(name) && ifAvailable) return Promise.resolve(task(null))
    return new Promise<T>((resolve, reject) => {
      signal?.addEventListener('abort', () => {
        const { length } = this.#waiting
        this.#waiting = this.#waiting.filter((one) => one.run !== run)
        if (this.#waiting.length < length) reject(signal.reason)
      })
      const run = (): void => {
        this.#held.add(name)
        Promise.resolve(task({}))
          .then(resolve, reject)
          .finally(() => this.#release(name))
      }
      if (this.#held.has(name)) this.#waiting.push({ name, run })
      else run()
    })
  }

  #release(name: string): void {
    this.#held.delete(name)
    const next = this.#waiting.find((one) => one.name === name)
    this.#waiting = this.#waiting.filter((one) => one !== next)
    next?.run()
  }
}

export class FakeDocument extends EventTarget {
  visibilityState = 'visible'
  hasFocus(): boolean {
    return true
  }
}

class FakeSessionStorage {
  readonly #items = new Map<string, string>()
  getItem = (key: string): string | null => this.#items.get(key) ?? null
  setItem = (key: string, value: string): void => void this.#items.set(key, value)
  removeItem = (key: string): void => void this.#items.delete(key)
}

export interface FakePage {
  readonly document: FakeDocument
  readonly page: EventTarget
  readonly factory: InstanceType<typeof IDBFactory>
}

/** The globals of a new page, with an empty database. */
export function stubPage(): FakePage {
  const document = new FakeDocument()
  const page = new EventTarget()
  const factory = new IDBFactory()
  vi.stubGlobal('indexedDB', factory)
  vi.stubGlobal('IDBKeyRange', IDBKeyRange)
  vi.stubGlobal('document', document)
  vi.stubGlobal('sessionStorage', new FakeSessionStorage())
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
  setNavigator({ onLine: true, locks: new FakeLocks() })
  return { document, page, factory }
}

export function setNavigator(value: object): void {
  vi.stubGlobal('navigator', value)
}
