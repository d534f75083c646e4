import { useSyncExternalStore } from 'react'

/** Wakes at the next change of a unit of time, or when the page is seen again: timers of a hidden page sleep. */
function ticker(unitMs: number, floor: (date: Date) => Date) {
  const present = (): number => floor(new Date()).getTime()
  const subscribe = (changed: () => void): (() => void) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const wait = (): void => {
      const next = present() + unitMs - Date.now()
      timer = setTimeout(wake, Math.max(next, 0) + 20)
    }
    const wake = (): void => {
      changed()
      wait()
    }
    wait()
    document.addEventListener('visibilitychange', changed)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', changed)
    }
  }
  return { subscribe, present }
}

const HOUR_MS = 3_600_000
// Hours, because midnight is at a full hour wherever one is, also on the day that the clock is put forward.
const hour = ticker(HOUR_MS, (date) => new Date(date.setMinutes(0, 0, 0)))
const minute = ticker(60_000, (date) => new Date(date.setSeconds(0, 0)))

/** The beginning of the present hour: for what says "Today". */
export function useHour(): Date {
  return new Date(useSyncExternalStore(hour.subscribe, hour.present))
}

/** The beginning of the present minute: for what says how long ago something was. */
export function useMinute(): Date {
  return new Date(useSyncExternalStore(minute.subscribe, minute.present))
}
