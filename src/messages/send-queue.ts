import type { ErrorCode } from '../protocol/codes.ts'
import type { Ref } from '../protocol/commands.ts'
import type { PendingMessage } from './store.ts'

/** Where a send came from; told its outcome. */
export interface OutcomeListener {
  /** `fate` or `refusal` of the send is final. Must not throw. */
  settled(send: QueuedSend): void
}

/** A send on its way through the writer. */
export interface QueuedSend extends PendingMessage {
  readonly asker: OutcomeListener
  readonly ref: Ref | undefined
  readonly queuedAtMs: number
  /** Set when it was not stored; then `fate` stays `pending`. */
  refusal: ErrorCode | undefined
  /** A commit of it had no answer. If it proves to be a duplicate, that commit may have been its first, and has to be announced. */
  wasUnknown?: boolean
}

export function isSettled(send: QueuedSend): boolean {
  return send.refusal !== undefined || send.fate !== 'pending'
}

/** Bytes of one batch at most, so that no transaction takes long however large the messages. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024

/** Up to this part of a limit every send is taken. Of the default rows: a hundred connections with all they may have in flight. */
const UNCROWDED_PART = 0.55

/** First in, first out; bounded in rows and bytes. */
export class SendQueue {
  readonly #limits: { maxQueueRows: number; maxQueueBytes: number; maxBatchRows: number }
  #sends: QueuedSend[] = []
  #bytes = 0

  constructor(limits: { maxQueueRows: number; maxQueueBytes: number; maxBatchRows: number }) {
    this.#limits = limits
  }

  get rows(): number {
    return this.#sends.length
  }
  get oldest(): QueuedSend | undefined {
    return this.#sends[0]
  }
  get newest(): QueuedSend | undefined {
    return this.#sends.at(-1)
  }
  /** 0 up to a little over half of both limits, from there on rising to 1 when one is reached. */
  get crowding(): number {
    const { maxQueueRows, maxQueueBytes } = this.#limits
    const fullness = Math.max(this.#sends.length / maxQueueRows, this.#bytes / maxQueueBytes)
    return Math.max(0, (fullness - UNCROWDED_PART) / (1 - UNCROWDED_PART))
  }

  /** False when the queue is full. */
  push(send: QueuedSend): boolean {
    const bytes = bytesOf(send)
    if (this.#sends.length >= this.#limits.maxQueueRows || this.#bytes + bytes > this.#limits.maxQueueBytes)
      return false
    this.#sends.push(send)
    this.#bytes += bytes
    return true
  }

  /** The next batch: at least one send when there is any. */
  take(): QueuedSend[] {
    let rows = 0
    let bytes = 0
    for (const send of this.#sends) {
      bytes += bytesOf(send)
      if (rows >= this.#limits.maxBatchRows || (rows > 0 && bytes > MAX_BATCH_BYTES)) break
      rows += 1
    }
    return this.#takeFirst(rows)
  }

  takeAll(): QueuedSend[] {
    return this.#takeFirst(this.#sends.length)
  }

  takeOlderThan(queuedAtMs: number): QueuedSend[] {
    const young = this.#sends.findIndex((send) => send.queuedAtMs > queuedAtMs)
    return this.#takeFirst(young < 0 ? this.#sends.length : young)
  }

  #takeFirst(rows: number): QueuedSend[] {
    const taken = rows === this.#sends.length ? this.#sends : this.#sends.splice(0, rows)
    if (taken === this.#sends) this.#sends = []
    for (const send of taken) this.#bytes -= bytesOf(send)
    return taken
  }
}

/** In UTF-16 units: what the text occupies here matters, not what it will be on the wire. */
function bytesOf(send: QueuedSend): number {
  return send.content.length + (typeof send.ref === 'string' ? send.ref.length : 0) + 200
}
