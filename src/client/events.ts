import type { Notifier } from './stores.ts'
import type { ClientEvents } from './types.ts'

type Listener = (event: never) => void

/** Typed events; a listener's fault is reported and harms nobody else. */
export class Events {
  readonly #notifier: Notifier
  readonly #listeners = new Map<keyof ClientEvents, Set<Listener>>()

  constructor(notifier: Notifier) {
    this.#notifier = notifier
  }

  on<Name extends keyof ClientEvents>(
    name: Name,
    fn: (event: ClientEvents[Name]) => void,
    signal?: AbortSignal,
  ): () => void {
    const listener = (event: ClientEvents[Name]): void => fn(event)
    const listeners = this.#listeners.get(name) ?? new Set<Listener>()
    this.#listeners.set(name, listeners.add(listener))
    const off = (): void => void listeners.delete(listener)
    signal?.addEventListener('abort', off, { once: true })
    if (signal?.aborted) off()
    return off
  }

  emit<Name extends keyof ClientEvents>(name: Name, event: ClientEvents[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) this.#notifier.call(listener, event as never)
  }
}
