/** Something that can be read now and watched for changes. The value is never changed in place. */
export interface Store<T> {
  get(): T
  /** Calls `fn` after each change; gives back the function that ends it. */
  subscribe(fn: () => void): () => void
}

type Report = (error: unknown) => void

/**
 * Tells the readers of stores, once a store however much of it changed since: what one slice of frames changes is one
 * notification.
 */
export class Notifier {
  readonly #dirty = new Set<() => void>()
  readonly #soon: (task: () => void) => void
  readonly report: Report

  constructor(soon: (task: () => void) => void, report: Report) {
    this.#soon = soon
    this.report = report
  }

  changed(tell: () => void): void {
    if (this.#dirty.size === 0) this.#soon(() => this.flush())
    this.#dirty.add(tell)
  }

  flush(): void {
    const tellers = [...this.#dirty]
    this.#dirty.clear()
    for (const tell of tellers) tell()
  }

  /** A listener's fault stays the listener's. */
  call<A extends readonly unknown[]>(fn: (...args: A) => void, ...args: A): void {
    try {
      fn(...args)
    } catch (error) {
      this.report(error)
    }
  }
}

/** A store over something that is computed when it is read, and again only after `invalidate`. */
export class View<T> implements Store<T> {
  readonly #compute: () => T
  readonly #notifier: Notifier
  readonly #listeners = new Set<() => void>()
  readonly #watched: ((is: boolean) => void) | undefined
  #value: { readonly now: T } | undefined

  /** `watched` hears when the first reader comes and when the last one goes. */
  constructor(notifier: Notifier, compute: () => T, watched?: (is: boolean) => void) {
    this.#notifier = notifier
    this.#compute = compute
    this.#watched = watched
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0
  }

  readonly get = (): T => {
    this.#value ??= { now: this.#compute() }
    return this.#value.now
  }

  readonly subscribe = (fn: () => void): (() => void) => {
    const listener = (): void => fn()
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.#watched?.(true)
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#watched?.(false)
    }
  }

  readonly #tell = (): void => {
    for (const listener of [...this.#listeners]) this.#notifier.call(listener)
  }

  invalidate(): void {
    this.#value = undefined
    if (this.#listeners.size > 0) this.#notifier.changed(this.#tell)
  }
}

/** A store whose value is set. */
export class Cell<T> extends View<T> {
  #current: T

  constructor(notifier: Notifier, initial: T, watched?: (is: boolean) => void) {
    super(notifier, () => this.#current, watched)
    this.#current = initial
  }

  set(value: T): void {
    if (Object.is(value, this.#current)) return
    this.#current = value
    this.invalidate()
  }
}
