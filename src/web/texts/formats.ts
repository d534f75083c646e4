import type { Translate } from './texts.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAYS_OF_WEEKDAY_NAMES = 6

/** How a language writes times. What is now comes from the caller, who may know the server's time. */
export interface Formats {
  /** "14:32" */
  clock(at: Date): string
  /** In a list: the time of today, the weekday of this week, else the day. */
  short(at: Date, now: Date): string
  /** Above the messages of a day: "Today", "Yesterday", "Monday, 3 November". */
  day(at: Date, now: Date): string
  /** "3 November 2026 at 14:32:05" */
  exact(at: Date): string
  /** In a sentence: "5 minutes ago", "yesterday at 14:32". */
  past(at: Date, now: Date): string
  /** "in 3 days", "in 2 hours" */
  future(at: Date, now: Date): string
}

/** Whole days of the local calendar from one to the other, whatever the clock was put forward or back between them. */
export function daysBetween(earlier: Date, later: Date): number {
  const day = (date: Date): number => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate())
  return Math.round((day(later) - day(earlier)) / (24 * HOUR_MS))
}

function formatter(locale: string, options: Intl.DateTimeFormatOptions): (at: Date) => string {
  let made: Intl.DateTimeFormat | undefined // costs a millisecond, and most are never needed
  return (at) => {
    made ??= new Intl.DateTimeFormat(locale, options)
    return made.format(at)
  }
}

export function formatsOf(locale: string, t: Translate): Formats {
  const format = (options: Intl.DateTimeFormatOptions) => formatter(locale, options)
  // "09:05", but "9:05 AM".
  const has12Hours = new Intl.DateTimeFormat(locale, { hour: 'numeric' }).resolvedOptions().hour12
  const hour = has12Hours ? 'numeric' : '2-digit'
  const clock = format({ hour, minute: '2-digit' })
  const weekday = format({ weekday: 'short' })
  const dayOfYear = format({ day: 'numeric', month: 'short' })
  const numeric = format({ dateStyle: 'short' })
  const longDay = format({ weekday: 'long', day: 'numeric', month: 'long' })
  const longDayOfOtherYear = format({ day: 'numeric', month: 'long', year: 'numeric' })
  const exact = format({ dateStyle: 'long', timeStyle: 'medium' })
  const dayAndTime = format({ day: 'numeric', month: 'short', hour, minute: '2-digit' })
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const isSameYear = (a: Date, b: Date): boolean => a.getFullYear() === b.getFullYear()

  return {
    clock,
    exact,
    short(at, now) {
      const days = daysBetween(at, now)
      if (days <= 0) return clock(at)
      if (days <= DAYS_OF_WEEKDAY_NAMES) return weekday(at)
      return isSameYear(at, now) ? dayOfYear(at) : numeric(at)
    },
    day(at, now) {
      const days = daysBetween(at, now)
      if (days <= 0) return t('when.today')
      if (days === 1) return t('when.yesterday')
      return isSameYear(at, now) ? longDay(at) : longDayOfOtherYear(at)
    },
    past(at, now) {
      const gone = now.getTime() - at.getTime()
      if (gone < MINUTE_MS) return t('when.now')
      if (gone < HOUR_MS) return relative.format(-Math.floor(gone / MINUTE_MS), 'minute')
      const days = daysBetween(at, now)
      if (days === 0) return relative.format(-Math.floor(gone / HOUR_MS), 'hour')
      if (days <= DAYS_OF_WEEKDAY_NAMES) return relative.format(-days, 'day')
      return isSameYear(at, now) ? dayAndTime(at) : numeric(at)
    },
    future(at, now) {
      const left = Math.max(0, at.getTime() - now.getTime())
      if (left < HOUR_MS) return relative.format(Math.ceil(left / MINUTE_MS), 'minute')
      if (left < 24 * HOUR_MS) return relative.format(Math.round(left / HOUR_MS), 'hour')
      return relative.format(Math.round(left / (24 * HOUR_MS)), 'day')
    },
  }
}
