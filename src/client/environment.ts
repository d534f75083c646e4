/** The part of a WebSocket that this client uses: a browser's, Node's, or the package `ws`. */
export interface SocketLike {
  readonly readyState: number
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: string): void
  close(code?: number, reason?: string): void
}
export type SocketConstructor = new (url: string, protocols?: string | string[]) => SocketLike

export interface ResponseLike {
  readonly status: number
  readonly ok: boolean
  readonly headers: { get(name: string): string | null }
  json(): Promise<unknown>
}
export interface RequestLike {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | object | null | undefined
  readonly signal?: AbortSignal | null | undefined
  readonly credentials?: 'include' | 'same-origin' | 'omit'
}
export type Fetch = (url: string, init?: RequestLike) => Promise<ResponseLike>

export interface Target {
  addEventListener(
    type: string,
    listener: (event: { persisted?: boolean }) => void,
    options: { readonly passive: boolean },
  ): void
  removeEventListener(type: string, listener: (event: { persisted?: boolean }) => void): void
}
export interface Locks {
  request<T>(name: string, options: object, task: (lock: unknown) => Promise<T> | T): Promise<T>
}
export interface Channel {
  onmessage: ((event: { data: unknown }) => void) | null
  postMessage(message: unknown): void
  close(): void
}

/** What may be there: all of it in a page of a secure origin, less over plain http, and little in Node. */
interface Host extends Partial<Target> {
  readonly WebSocket?: SocketConstructor
  readonly fetch?: Fetch
  readonly document?: Target & { readonly visibilityState: string; hasFocus(): boolean }
  readonly navigator?: {
    readonly onLine?: boolean
    readonly locks?: Locks
    readonly storage?: { persist?(): Promise<boolean> }
  }
  readonly BroadcastChannel?: new (name: string) => Channel
  readonly indexedDB?: object
  readonly localStorage?: Remembering
  readonly sessionStorage?: Remembering
}

interface Remembering {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** Looked at when it is needed, so that a test can put its own in place. */
export const host = (): Host => globalThis as unknown as Host
/** A page; a worker or Node is none. */
export const inPage = (): boolean => host().document !== undefined

/** For all tabs, or for this one and its reloads. Storage of a page may be forbidden altogether: then even to look at it throws. */
export function remembered(
  key: string,
  value?: string | null,
  place: 'localStorage' | 'sessionStorage' = 'localStorage',
): string | undefined {
  try {
    const storage = inPage() ? host()[place] : undefined
    if (value === undefined) return storage?.getItem(key) ?? undefined
    if (value === null) storage?.removeItem(key)
    else storage?.setItem(key, value)
  } catch {
    // It is a convenience: without it the user is known after the first connection, and the last keys go with a reload.
  }
  return undefined
}
