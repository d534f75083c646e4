import type { Connection } from '../../src/gateway/connection.ts'
import type { Socket } from '../../src/gateway/socket.ts'
import { CLOSES, type CloseName } from '../../src/protocol/codes.ts'
import type { Frame } from '../../src/protocol/encoding.ts'
import type { Message } from '../../src/protocol/message.ts'

/** Beyond so many a stalled socket loses frames. */
const HARD_MAX_HELD_FRAMES = 6

/** Frames leave at the end of the turn; a stalled one holds them, and loses what is too much, as the real one does. */
export class PlayedSocket implements Socket {
  isStalled = false
  /** Receipts, unlike messages, may be lost on a socket that lags. */
  hasStalled = false
  isOpen = true
  progress = 0
  lastHeard = 0
  #queued: { frame: Frame; message: Message | undefined }[] = []
  #held: Frame[] = []
  readonly #connection: Connection
  readonly #deliver: (frame: Frame) => void
  readonly #closed: (code: number) => void

  constructor(connection: Connection, deliver: (frame: Frame) => void, closed: (code: number) => void) {
    this.#connection = connection
    this.#deliver = deliver
    this.#closed = closed
  }

  get bufferedBytes(): number {
    return this.#held.length
  }

  get keepsAll(): boolean {
    return !this.isStalled
  }

  send(frame: Frame, message?: Message): void {
    if (!this.isOpen) return
    this.#queued.push({ frame, message })
    if (this.#queued.length === 1) queueMicrotask(() => this.#flush())
  }

  /** Where a message no longer fits, nothing that may be lost does. */
  offer(frame: Frame): void {
    if (!this.isStalled || this.#held.length < HARD_MAX_HELD_FRAMES) this.send(frame)
  }

  ping(): void {
    // Nobody of the model has too many connections.
  }

  close(name: CloseName): void {
    this.#flush()
    this.end(CLOSES[name].code)
  }

  /** What was held dies with the socket. */
  end(code: number): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#closed(code)
    this.#connection.closed(code)
  }

  stall(): void {
    this.isStalled = true
    this.hasStalled = true
  }

  resume(): void {
    this.isStalled = false
    const held = this.#held
    this.#held = []
    for (const frame of held) this.#deliver(frame)
    if (held.length > 0 && this.isOpen) this.#connection.emptied()
  }

  unsubscribe(): void {
    // Topics are not played.
  }

  handOver(): void {
    throw new Error('a connection hands its socket to nobody')
  }

  subscribe(): void {
    // Nothing of the model is published.
  }

  #flush(): void {
    const queued = this.#queued
    this.#queued = []
    if (queued.length === 0) return
    for (const { frame, message } of queued) {
      if (!this.isOpen) return
      if (!this.isStalled) this.#deliver(frame)
      // Replies are small: where a message does not fit they mostly do.
      else if (this.#held.length < (message ? 1 : 4) * HARD_MAX_HELD_FRAMES) this.#held.push(frame)
      else this.#connection.dropped(message)
    }
    if (this.isOpen && this.#held.length === 0) this.#connection.emptied()
  }
}
