const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

/** Fills an array with random bytes. */
export type RandomBytes = (bytes: Uint8Array<ArrayBuffer>) => void

// `crypto.randomUUID` is missing on a page that came over plain http; `getRandomValues` is not.
const systemRandom: RandomBytes = (bytes) => {
  globalThis.crypto.getRandomValues(bytes)
}

/**
 * Makes UUIDs of version 7 (RFC 9562, section 5.7), each above the one before: twelve bits count within a millisecond, and a
 * wall clock that goes back does not take the order with it.
 */
export function idMaker(wall: () => number, fill: RandomBytes = systemRandom): () => string {
  let ms = 0
  let count = 0
  return () => {
    const bytes = new Uint8Array(8)
    fill(bytes)
    const now = wall()
    count += 1
    if (now > ms || count > 0xfff) {
      ms = Math.max(now, ms + 1)
      count = ((bytes[0] ?? 0) << 2) | ((bytes[1] ?? 0) & 3)
    }
    const random = Array.from(bytes, (byte) => hex(byte, 2)).join('')
    const variant = hex(((bytes[0] ?? 0) & 0x3f) | 0x80, 2)
    const digits = `${hex(ms, 12)}7${hex(count, 3)}${variant}${random.slice(2)}`
    return digits.replace(/(.{8})(....)(....)(....)/, '$1-$2-$3-$4-')
  }
}
