import { Cell, type Notifier } from './stores.ts'
import type { Outcome, Sending, SendStatus } from './types.ts'

interface Handle {
  readonly status: Cell<SendStatus>
  settle: (outcome: Outcome) => void
  saved: () => void
}

/** What `send` has given to its callers: each is told once what became of its message. */
export class Handles {
  readonly #notifier: Notifier
  readonly #open = new Map<string, Handle>()

  constructor(notifier: Notifier) {
    this.#notifier = notifier
  }

  open(id: string): Sending {
    const status = new Cell<SendStatus>(this.#notifier, 'queued')
    const handle = { status } as Handle
    const settled = new Promise<Outcome>((resolve) => {
      handle.settle = resolve
    })
    const saved = new Promise<void>((resolve) => {
      handle.saved = resolve
    })
    this.#open.set(id, handle)
    return { id, status, settled, saved }
  }

  saved(id: string): void {
    this.#open.get(id)?.saved()
  }

  status(id: string, status: SendStatus): void {
    this.#open.get(id)?.status.set(status)
  }

  settle(id: string, outcome: Outcome): void {
    const handle = this.#open.get(id)
    if (!handle) return
    this.#open.delete(id)
    handle.status.set(outcome.outcome === 'ok' ? 'sent' : outcome.outcome)
    handle.saved()
    handle.settle(outcome)
  }

  ids(): readonly string[] {
    return [...this.#open.keys()]
  }
}
