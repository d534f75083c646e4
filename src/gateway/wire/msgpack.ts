import { ownText } from '../../lib/own-text.ts'

/**
 * MessagePack of flat maps, put together as a string of one character per byte and written out in one go: some four times
 * as fast as to fill a buffer value by value. Source of the formats: the MessagePack specification.
 */

const CHARACTERS = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))
const byte = (value: number): string => CHARACTERS[value & 0xff] ?? ''
const uint16 = (value: number): string => byte(value >> 8) + byte(value)
const uint32 = (value: number): string => uint16(value >>> 16) + uint16(value)

/** The start of a map of up to 15 fields. */
export function mapOf(fields: number): string {
  return byte(0x80 | fields)
}

/** A text of ASCII. */
export function packed(ascii: string): string {
  return textHeader(ascii.length) + ascii
}

/** Any text, as UTF-8. */
export function packedText(text: string): string {
  const bytes = Buffer.byteLength(text)
  if (bytes === text.length) return textHeader(bytes) + text
  return textHeader(bytes) + Buffer.from(text, 'utf8').toString('latin1')
}

/** A finite number, in the shortest of the formats that every reader takes for a number: integers to 32 bits, else double. */
export function packedNumber(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff || Object.is(value, -0)) return packedDouble(value)
  if (value < 0x80) return byte(value)
  if (value < 0x100) return `\xcc${byte(value)}`
  if (value < 0x1_0000) return `\xcd${uint16(value)}`
  return `\xce${uint32(value)}`
}

function packedDouble(value: number): string {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleBE(value)
  return `\xcb${bytes.toString('latin1')}`
}

function textHeader(bytes: number): string {
  if (bytes < 0x20) return byte(0xa0 | bytes)
  if (bytes < 0x100) return `\xd9${byte(bytes)}`
  if (bytes < 0x1_0000) return `\xda${uint16(bytes)}`
  return `\xdb${uint32(bytes)}`
}

/** Of frames up to this length the view is kept: to make one costs as much as to fill it. */
const MAX_KEPT_BYTES = 2048
const scratch = Buffer.allocUnsafeSlow(64 * 1024)
const views: Uint8Array[] = []

/** The bytes that the characters stand for, in memory that the next call may take again. */
export function bytesOf(characters: string): Uint8Array {
  const { length } = characters
  if (length > scratch.length) return Buffer.from(characters, 'latin1')
  scratch.write(characters, 'latin1')
  if (length > MAX_KEPT_BYTES) return scratch.subarray(0, length)
  views[length] ??= scratch.subarray(0, length)
  return views[length]
}

/** One character for each byte. */
export function charactersOf(bytes: Uint8Array): string {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('latin1')
}

/** How many entries the map has that the bytes start with, or a record of msgpackr that stands for one. */
export function entriesOf(bytes: Uint8Array): number {
  const [head = 0, b1 = 0, b2 = 0, b3 = 0, b4 = 0] = bytes
  if (head === 0xd4 && b1 === 0x72) return b3 ^ 0x90
  if (head === 0xde) return b1 * 0x100 + b2
  if (head === 0xdf) return ((b1 * 0x100 + b2) * 0x100 + b3) * 0x100 + b4
  return head ^ 0x80
}

export type FlatFields = Record<string, string | number>

/**
 * A map of some of `fields`, each once, with ASCII texts and whole numbers from 0 to 32 bits: what the frames of a chat mostly
 * are (a send of 100 bytes: 0.6 µs here, 1.6 µs in general). `undefined` for everything else, be it right or wrong.
 */
export function unpackFlat(bytes: Uint8Array, fields: FieldNames): FlatFields | undefined {
  return new FlatReader(bytes).read(fields)
}

/** Names of fields by their length: to compare is cheaper than to make a text of what stands there. */
export type FieldNames = readonly (readonly string[])[]

export function fieldNames(names: readonly string[]): FieldNames {
  return Array.from({ length: 32 }, (_, length) => names.filter((name) => name.length === length))
}

/** Longest text that may be kept for long after its frame: ids. Content goes with its message. */
export const MAX_ID_CHARACTERS = 128
/** A frame of up to this length may be kept alive by a text of it: a copy of each costs a tenth of decoding the frame. */
const MAX_HELD_BYTES = 256

/** Reads on beyond the end as if there were zeros; that it did is found at the end. */
class FlatReader {
  readonly #bytes: Uint8Array
  readonly #characters: string
  readonly #isLarge: boolean
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#characters = charactersOf(bytes)
    this.#isLarge = bytes.length > MAX_HELD_BYTES
  }

  read(names: FieldNames): FlatFields | undefined {
    const map: FlatFields = {}
    const head = this.#byte()
    // Some clients head every map with 16 bits, also small ones.
    const count = head === 0xde ? this.#uint(2) : head ^ 0x80
    if (count > 15) return undefined
    for (let index = 0; index < count; index += 1) {
      const name = this.#name(names)
      if (name === undefined || map[name] !== undefined) return undefined
      const value = this.#value()
      if (value === undefined) return undefined
      map[name] = value
    }
    return this.#at === this.#bytes.length ? map : undefined
  }

  #byte(): number {
    const value = this.#bytes[this.#at] ?? 0
    this.#at += 1
    return value
  }

  #name(names: FieldNames): string | undefined {
    const length = this.#byte() ^ 0xa0
    for (const name of names[length] ?? []) {
      if (!this.#characters.startsWith(name, this.#at)) continue
      this.#at += length
      return name
    }
    return undefined
  }

  #value(): string | number | undefined {
    const head = this.#byte()
    if (head < 0x80) return head
    if ((head & 0xe0) === 0xa0) return this.#ascii(head & 0x1f)
    if (head === 0xd9) return this.#ascii(this.#uint(1))
    if (head === 0xda) return this.#ascii(this.#uint(2))
    return head >= 0xcc && head <= 0xce ? this.#uint(1 << (head - 0xcc)) : undefined
  }

  #uint(bytes: number): number {
    let value = 0
    for (let index = 0; index < bytes; index += 1) value = value * 256 + this.#byte()
    return value
  }

  #ascii(length: number): string | undefined {
    const start = this.#at
    this.#at += length
    for (let place = start; place < this.#at; place += 1) if ((this.#bytes[place] ?? 0x80) > 0x7f) return undefined
    const piece = this.#characters.slice(start, this.#at)
    return this.#isLarge && length <= MAX_ID_CHARACTERS ? ownText(piece) : piece
  }
}
