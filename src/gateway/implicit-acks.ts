import type { UserId } from '../protocol/message.ts'

/**
 * Acknowledges for a client that has no subprotocol: what has left this process counts as received, and with it everything
 * below it in its conversation.
 */
export class ImplicitAcks {
  readonly #acknowledge: (peer: UserId, seq: number) => void
  /** Written, by conversation, but not known to have left this process. */
  #written = new Map<UserId, number>()

  constructor(acknowledge: (peer: UserId, seq: number) => void) {
    this.#acknowledge = acknowledge
  }

  written(peer: UserId, seq: number): void {
    this.#written.set(peer, Math.max(seq, this.#written.get(peer) ?? 0))
  }

  /** It was noted as written when the socket was given it, but it did not leave. */
  dropped(peer: UserId, seq: number): void {
    if ((this.#written.get(peer) ?? 0) >= seq) this.#written.set(peer, seq - 1)
  }

  /** Everything written so far has left this process. */
  emptied(): void {
    if (this.#written.size === 0) return
    const written = this.#written
    this.#written = new Map()
    for (const [peer, seq] of written) if (seq > 0) this.#acknowledge(peer, seq)
  }
}
