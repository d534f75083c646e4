// People who sign in without a pause, in a process of their own, so that who measures shares nothing with them but the machine.
import { setTimeout as delay } from 'node:timers/promises'
import { AccountClient } from './account-client.ts'

export interface Storm {
  readonly directPort: number
  /** Each of them signs in again and again. */
  readonly usernames: readonly string[]
}

const { directPort, usernames } = JSON.parse(process.argv[2] ?? '') as Storm
const client = new AccountClient({ directPort })
const statuses: Record<number, number> = {}
let isOver = false
process.once('message', () => {
  isOver = true
})
// Nothing else ends a process in a session of its own when whoever started it is killed.
const orphaned = (): never => process.exit(1)
process.once('disconnect', orphaned)

await Promise.all(
  usernames.map(async (username) => {
    while (!isOver) {
      const { status } = await client.login(username)
      statuses[status] = (statuses[status] ?? 0) + 1
      // As a client that was told to come back later, and not all in the same moment.
      if (status !== 200) await delay(500 + 1_000 * Math.random())
    }
  }),
)
process.off('disconnect', orphaned)
process.send?.(statuses, () => process.disconnect())
