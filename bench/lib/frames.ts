/** WebSocket framing (RFC 6455 §5.2) for a client that must cost less than the server it measures. */

export const textOpcode = 1
export const binaryOpcode = 2
export const closeOpcode = 8
export const pingOpcode = 9
export const pongOpcode = 10

/** Not zero: `ws` skips unmasking for an all-zero key, which no real client sends. */
const maskKey = Buffer.from([0x5a, 0xc3, 0x3c, 0xa5])

/** One client frame, masked with the fixed key. */
export function maskedFrame(opcode: number, payload: Uint8Array): Buffer {
  const header = clientHeader(opcode, payload.length)
  const frame = Buffer.concat([header, payload])
  maskInPlace(frame, header.length, payload.length)
  return frame
}

/** Where the payload begins in a frame made by `maskedFrame`. */
export function payloadOffset(payloadBytes: number): number {
  return (payloadBytes < 126 ? 2 : 4) + maskKey.length
}

/** The byte that stands for `plain` at this place of a masked payload. */
export function maskedByte(plain: number, payloadIndex: number): number {
  return plain ^ (maskKey[payloadIndex & 3] ?? 0)
}

function clientHeader(opcode: number, length: number): Buffer {
  if (length > 0xffff) throw new RangeError('client frames above 64 KiB are not needed here')
  const lengthBytes = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...lengthBytes]), maskKey])
}

function maskInPlace(frame: Buffer, start: number, length: number): void {
  for (let index = 0; index < length; index++) {
    frame[start + index] = maskedByte(frame[start + index] ?? 0, index)
  }
}

/** Receives each whole frame; `bytes` is valid only during the call. */
export type FrameSink = (opcode: number, bytes: Buffer, start: number, end: number) => void

/** Walks frame headers through a byte stream; the payload is neither copied nor decoded. */
export class FrameScanner {
  readonly #sink: FrameSink
  #rest: Buffer | undefined

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Takes the next bytes of the stream; `chunk` may be reused by the caller afterwards. */
  push(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= 2) {
      const shortLength = (bytes[at + 1] ?? 0) & 0x7f
      const start = at + (shortLength < 126 ? 2 : shortLength === 126 ? 4 : 10)
      if (start > bytes.length) break
      const end = start + payloadLength(bytes, at, shortLength)
      if (end > bytes.length) break
      this.#sink((bytes[at] ?? 0) & 0x0f, bytes, start, end)
      at = end
    }
    this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined
  }
}

function payloadLength(bytes: Buffer, at: number, shortLength: number): number {
  if (shortLength < 126) return shortLength
  return shortLength === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
}
