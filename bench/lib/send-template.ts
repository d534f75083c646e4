import { maskedByte, maskedFrame, payloadOffset } from './frames.ts'
import { firstRef, type Wire } from './wire.ts'

/** `send` commands encoded and masked once, one for each receiver; only the digits of `ref` change from one use to the next. */
export class SendTemplate {
  readonly #wire: Wire
  readonly #frames: readonly Buffer[]
  readonly #frameBytes: number
  readonly #refInPayload: number
  readonly #refInFrame: number

  /** All receivers' ids have the same length. */
  constructor(wire: Wire, senderId: string, receiverIds: readonly string[], content: string) {
    const payloads = receiverIds.map((receiverId) => wire.encodeSend({ senderId, receiverId, content }))
    const [payload = Buffer.alloc(0)] = payloads
    const prefix = wire.fieldPrefix('ref')
    this.#wire = wire
    this.#frames = payloads.map((each) => maskedFrame(wire.opcode, each))
    this.#frameBytes = this.#frames[0]?.length ?? 0
    if (this.#frames.some(({ length }) => length !== this.#frameBytes)) throw new RangeError('frames differ in length')
    this.#refInPayload = payload.lastIndexOf(prefix) + prefix.length
    this.#refInFrame = payloadOffset(payload.length) + this.#refInPayload
  }

  /**
   * `count` frames in one buffer of their own: the socket may hold it until the kernel takes it. The frame with `ref` goes to
   * the receiver at `ref - firstRef`, counted round and round.
   */
  burst(count: number, ref: number): Buffer {
    const bytes = Buffer.allocUnsafe(count * this.#frameBytes)
    for (let index = 0; index < count; index++) {
      this.#frames[(ref + index - firstRef) % this.#frames.length]?.copy(bytes, index * this.#frameBytes)
      this.#writeRef(bytes, index * this.#frameBytes, ref + index)
    }
    return bytes
  }

  #writeRef(bytes: Buffer, frameStart: number, ref: number): void {
    for (let index = 0; index < this.#wire.refBytes; index++) {
      const plain = this.#wire.refByte(ref, index)
      bytes[frameStart + this.#refInFrame + index] = maskedByte(plain, this.#refInPayload + index)
    }
  }
}
