// Waiting for what an SDK client shows.
import type { Client, Clock, Store } from '../../src/client/index.ts'

/** Ten times as fast as people wait. */
export const hurried: Clock = {
  now: () => performance.now() * 10,
  wall: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs / 10)
    return () => clearTimeout(timer)
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
