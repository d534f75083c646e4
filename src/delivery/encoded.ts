import { CODECS, type Codec, type Frame } from '../protocol/codec.ts'
import type { ServerEvent } from '../protocol/events.ts'

/** One event for many sockets: encoded once per encoding, and only in those that somebody needs. */
export class EncodedEvent {
  readonly #source: ServerEvent | string
  #json: string | undefined
  #msgpack: Frame | undefined

  /** An event, or the JSON frame that another instance has already made of one. */
  constructor(source: ServerEvent | string) {
    this.#source = source
  }

  get json(): string {
    this.#json ??= typeof this.#source === 'string' ? this.#source : CODECS.json.encode(this.#source)
    return this.#json
  }

  get event(): ServerEvent {
    return typeof this.#source === 'string' ? JSON.parse(this.#source) : this.#source
  }

  frame(codec: Codec): Frame {
    if (codec.name === 'json') return this.json
    this.#msgpack ??= CODECS.msgpack.encode(this.event)
    return this.#msgpack
  }
}
