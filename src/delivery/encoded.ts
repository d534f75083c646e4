import { CODECS, type Codec, type Frame } from '../protocol/codec.ts'
import type { ServerEvent } from '../protocol/events.ts'

/** One event for many sockets: encoded once per encoding, and only in those that somebody needs. */
export class EncodedEvent {
  readonly event: ServerEvent
  #json: Frame | undefined
  #msgpack: Frame | undefined

  constructor(event: ServerEvent) {
    this.event = event
  }

  frame(codec: Codec): Frame {
    if (codec.name === 'json') {
      this.#json ??= CODECS.json.encode(this.event)
      return this.#json
    }
    this.#msgpack ??= CODECS.msgpack.encode(this.event)
    return this.#msgpack
  }
}
