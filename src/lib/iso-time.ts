const MS_PER_DAY = 86_400_000

const twoDigits = (end: string): readonly string[] =>
  Array.from({ length: 60 }, (_, value) => `${String(value).padStart(2, '0')}${end}`)
const HOURS_AND_MINUTES = twoDigits(':')
const SECONDS = twoDigits('.')
const MILLISECONDS = Array.from({ length: 1000 }, (_, value) => `${String(value).padStart(3, '0')}Z`)

let lastDay = Number.NaN
let datePart = ''

/**
 * What `new Date(ms).toISOString()` gives for whole milliseconds from 1970 on, at a fifth of its cost while the day stays
 * the same, as it mostly does within a page of messages.
 */
export function isoTime(ms: number): string {
  const day = Math.floor(ms / MS_PER_DAY)
  if (day !== lastDay) {
    datePart = new Date(day * MS_PER_DAY).toISOString().slice(0, 11)
    lastDay = day
  }
  const time = ms - day * MS_PER_DAY
  const hour = Math.floor(time / 3_600_000)
  const minute = Math.floor(time / 60_000) % 60
  const second = Math.floor(time / 1000) % 60
  return `${datePart}${HOURS_AND_MINUTES[hour]}${HOURS_AND_MINUTES[minute]}${SECONDS[second]}${MILLISECONDS[time % 1000]}`
}
