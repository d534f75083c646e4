// People who sign in without a pause, in a thread of their own, so that who measures does not wait for them.
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { AccountClient } from './account-client.ts'

export interface Storm {
  readonly directPort: number
  readonly usernames: readonly string[]
  /** How many sign in at a time. */
  readonly clients: number
}

const { directPort, usernames, clients } = workerData as Storm
const client = new AccountClient({ directPort })
const statuses: Record<number, number> = {}
let isOver = false
parentPort?.once('message', () => {
  isOver = true
})

await Promise.all(
  Array.from({ length: clients }, async (_, at) => {
    while (!isOver) {
      const { status } = await client.login(usernames[at % usernames.length] ?? '')
      statuses[status] = (statuses[status] ?? 0) + 1
      // As a client that was told to come back later, and not all in the same moment.
      if (status !== 200) await delay(500 + 1_000 * Math.random())
    }
  }),
)
parentPort?.postMessage(statuses)
