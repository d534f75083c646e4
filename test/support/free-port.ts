import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that the system hands out by itself, and below those of the Redis servers: no other test takes one. */
const PORTS = { first: 10_000, count: 10_000 }
/** Taken in turn, so that a process never gets one twice. */
let next = Math.floor(Math.random() * PORTS.count)

/** A port that was free a moment ago, for a service that has to be told its port. */
export async function freePort(): Promise<number> {
  for (;;) {
    next = (next + 1) % PORTS.count
    if (await isFree(PORTS.first + next)) return PORTS.first + next
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
