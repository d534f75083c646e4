// Waiting for what an SDK client shows.
import type { Client, Clock, Store } from '../../src/client/index.ts'

const FASTER = 10
const TICK_MS = 5

interface Timer {
  readonly at: number
  readonly task: () => void
}
const timers = new Set<Timer>()
let nowMs = 0
let tickedAt = 0
let ticking: NodeJS.Timeout | undefined

/** By what a tick takes, and not by what the machine was too busy for: limits pass only while something could have come. */
function tick(): void {
  const at = performance.now()
  nowMs += Math.min(at - tickedAt, 2 * TICK_MS) * FASTER
  tickedAt = at
  const due = [...timers].filter((timer) => timer.at <= nowMs).sort((one, other) => one.at - other.at)
  for (const timer of due) if (timers.delete(timer)) timer.task()
  if (timers.size > 0) return
  clearInterval(ticking)
  ticking = undefined
}

/** Ten times as fast as people wait. Its time goes on while somebody waits for it, and with the turns of this process alone. */
export const hurried: Clock = {
  now: () => nowMs,
  wall: () => Date.now(),
  after(delayMs, task) {
    const timer = { at: nowMs + delayMs, task }
    timers.add(timer)
    if (!ticking) {
      tickedAt = performance.now()
      ticking = setInterval(tick, TICK_MS)
    }
    return () => void timers.delete(timer)
  },
  soon: (task) => void setImmediate(task),
}

/** Resolves when a store's value is as wanted. */
export function until<T>(store: Store<T>, isWanted: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    let off: () => void = () => undefined
    const look = (): void => {
      if (!isWanted(store.get())) return
      off()
      resolve(store.get())
    }
    off = store.subscribe(look)
    look()
  })
}

export const live = (client: Client): Promise<unknown> => until(client.status, ({ state }) => state === 'live')

/** How often each row was shown at a time, from now on. */
export function watchRows(client: Client, other: string): { most: number; least: number } {
  const seen = { most: 0, least: Number.POSITIVE_INFINITY }
  const { messages } = client.conversation(other)
  messages.subscribe(() => {
    const ids = messages.get().map(({ id }) => id)
    seen.most = Math.max(seen.most, ids.length - new Set(ids).size + 1)
    seen.least = Math.min(seen.least, ids.length)
  })
  return seen
}
