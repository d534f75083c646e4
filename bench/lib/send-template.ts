import { maskedByte, maskedFrame, payloadOffset } from './frames.ts'
import { firstRef, type Wire } from './wire.ts'

/** A `send` command encoded and masked once; only the digits of its `ref` change from one use to the next. */
export class SendTemplate {
  readonly #wire: Wire
  readonly #block: Buffer
  readonly #frameBytes: number
  readonly #refInPayload: number
  readonly #refInFrame: number

  /** `maxBurst`: how many frames are laid out side by side, ready to be copied. */
  constructor(wire: Wire, receiverId: string, content: string, maxBurst: number) {
    const payload = wire.encode({ type: 'send', receiver_id: receiverId, content, ref: firstRef })
    const frame = maskedFrame(wire.opcode, payload)
    const prefix = wire.fieldPrefix('ref')
    this.#wire = wire
    this.#frameBytes = frame.length
    this.#refInPayload = payload.lastIndexOf(prefix) + prefix.length
    this.#refInFrame = payloadOffset(payload.length) + this.#refInPayload
    this.#block = Buffer.concat(Array.from({ length: maxBurst }, () => frame))
  }

  /** `count` frames in one buffer of their own: the socket may hold it until the kernel takes it. */
  burst(count: number, ref: number): Buffer {
    const bytes = Buffer.allocUnsafe(count * this.#frameBytes)
    this.#block.copy(bytes, 0, 0, bytes.length)
    for (let index = 0; index < count; index++) this.#writeRef(bytes, index * this.#frameBytes, ref + index)
    return bytes
  }

  #writeRef(bytes: Buffer, frameStart: number, ref: number): void {
    for (let index = 0; index < this.#wire.refBytes; index++) {
      const plain = this.#wire.refByte(ref, index)
      bytes[frameStart + this.#refInFrame + index] = maskedByte(plain, this.#refInPayload + index)
    }
  }
}
