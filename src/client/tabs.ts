import type { Message } from '../protocol/message.ts'
import { type Channel, host, inPage, type Locks } from './environment.ts'
import type { Entry } from './outbox.ts'

export type TabMessage =
  | { readonly type: 'token'; readonly token: string }
  | { readonly type: 'logout' }
  | { readonly type: 'draft'; readonly with: string; readonly text: string }
  | OutboxMessage
/** A message that waits in another tab; without `entry` it waits no more: it is `stored`, or was taken back. */
export interface OutboxMessage {
  readonly type: 'outbox'
  readonly id: string
  readonly with: string
  readonly entry?: Entry
  readonly stored?: Message | undefined
  /** The line of history in which it is stored. */
  readonly epoch?: string | undefined
}

const locks = (): Locks | undefined => (inPage() ? host().navigator?.locks : undefined)

/** The other tabs of the same user and server. Over plain http there are no locks: then tabs race, which is harmless. */
export class Tabs {
  readonly #name: string
  readonly #channel: Channel | undefined
  #free: (() => void) | undefined

  constructor(name: string, heard: (message: TabMessage) => void) {
    this.#name = name
    const { BroadcastChannel } = host()
    // In Node a channel would reach every client of the process, and keep the process alive.
    if (!inPage() || !BroadcastChannel) return
    this.#channel = new BroadcastChannel(name)
    this.#channel.onmessage = ({ data }) => heard(data as TabMessage)
  }

  say(message: TabMessage): void {
    this.#channel?.postMessage(message)
  }

  /** Runs a task while no other tab runs one of this kind. */
  alone<T>(kind: string, task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return locks()?.request(`${this.#name} ${kind}`, { signal }, task) ?? task()
  }

  /** Marks this tab as alive under its name, until it is closed or dies. */
  live(tab: string): void {
    const until = new Promise<void>((resolve) => {
      this.#free = resolve
    })
    void this.#whenFree(tab, () => until)
  }

  /** Whether a tab is gone: `undefined` where that cannot be known. */
  async isGone(tab: string): Promise<boolean | undefined> {
    return locks()?.request(`${this.#name} tab ${tab}`, { ifAvailable: true }, (lock) => lock !== null)
  }

  /** Resolves once a tab is gone; `undefined` where that cannot be known. */
  whenGone(tab: string): Promise<unknown> | undefined {
    return this.#whenFree(tab, () => undefined)
  }

  #whenFree(tab: string, task: () => unknown): Promise<unknown> | undefined {
    return locks()
      ?.request(`${this.#name} tab ${tab}`, {}, task)
      .catch(() => undefined)
  }

  close(): void {
    this.#free?.()
    this.#channel?.close()
  }
}
