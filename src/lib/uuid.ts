import { randomFillSync } from 'node:crypto'

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const RANDOM_BYTES = 10
/** Random bytes of some 400 ids, fetched at once: to ask the system for each id costs more than all the rest. */
const pool = Buffer.allocUnsafe(4096 - (4096 % RANDOM_BYTES))
let used = pool.length
let time = { ms: 0, text: timeText(0) }

/** A UUID of version 7: sorts by time, so new rows land at the end of an index. Source: RFC 9562, section 5.7. */
export function uuidv7(nowMs: number): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  if (time.ms !== nowMs) time = { ms: nowMs, text: timeText(nowMs) }
  const hex = (index: number): string => HEX[pool[used + index] ?? 0] ?? ''
  const version = HEX[((pool[used] ?? 0) & 0x0f) | 0x70] ?? ''
  const variant = HEX[((pool[used + 2] ?? 0) & 0x3f) | 0x80] ?? ''
  const id = `${time.text}-${version}${hex(1)}-${variant}${hex(3)}-${hex(4)}${hex(5)}${hex(6)}${hex(7)}${hex(8)}${hex(9)}`
  used += RANDOM_BYTES
  return id
}

function timeText(ms: number): string {
  const text = ms.toString(16).padStart(12, '0')
  return `${text.slice(0, 8)}-${text.slice(8)}`
}
