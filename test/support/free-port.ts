import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that the system hands out by itself, and between those of the Redis servers: no other test takes one. */
const FIRST = 12_000
/** Of each process that runs test files beside others. */
const SHARES = 8
const COUNT = 1_000
const first = FIRST + (Number(process.env['VITEST_POOL_ID'] ?? 0) % SHARES) * COUNT
/** Taken in turn, so that a process never gets one twice. */
let next = Math.floor(Math.random() * COUNT)

/** A port that was free a moment ago, for a service that has to be told its port. */
export async function freePort(): Promise<number> {
  for (;;) {
    next = (next + 1) % COUNT
    if (await isFree(first + next)) return first + next
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
