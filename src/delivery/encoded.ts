import type { Encoder, Frame } from '../protocol/encoding.ts'
import type { MessagePush, ServerEvent } from '../protocol/events.ts'
import type { Message } from '../protocol/message.ts'

/** Written out: to spread the message into another object costs half of what it costs to encode it. */
export function messagePush({ id, seq, sender_id, receiver_id, content, created_at }: Message): MessagePush {
  return { type: 'message', id, seq, sender_id, receiver_id, content, created_at }
}

/** One event for many sockets: encoded once per encoding, and only in those that somebody needs. */
export class EncodedEvent {
  readonly #source: ServerEvent | string
  #json: Frame | undefined
  #msgpack: Frame | undefined

  /** An event, or the JSON frame that another instance has already made of one. */
  constructor(source: ServerEvent | string) {
    this.#source = source
    if (typeof source === 'string') this.#json = source
  }

  get event(): ServerEvent {
    return typeof this.#source === 'string' ? JSON.parse(this.#source) : this.#source
  }

  /** As `frame`; undefined where a text of another instance would have to be read for it, and is no JSON. */
  soundFrame(encoder: Encoder): Frame | undefined {
    if (typeof this.#source !== 'string') return this.frame(encoder)
    try {
      return this.frame(encoder)
    } catch {
      return undefined
    }
  }

  /** The same frame again for every encoder of this name. */
  frame(encoder: Encoder): Frame {
    if (encoder.name === 'json') {
      this.#json ??= encoder.encode(this.event)
      return this.#json
    }
    this.#msgpack ??= encoder.encode(this.event)
    return this.#msgpack
  }
}
