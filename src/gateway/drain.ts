import type { Connections } from './connections.ts'

/**
 * How long a closed socket goes on reading what its client had under way, milliseconds. Ending the connection with bytes
 * unread resets it, and a reset can destroy the close frame before the client sees it.
 */
const LINGER_MS = 500

/**
 * Tells every client to come back, each at its own time, so that they do not all come at once. The returned function
 * closes what is still open, after the answers that are on their way have been written, and resolves when the clients had
 * time to read why.
 */
export function drainConnections(connections: Connections, spreadMs: number): () => Promise<void> {
  for (const connection of connections.all()) {
    connection.reply({ type: 'draining', reconnect_after_ms: Math.floor(Math.random() * spreadMs) })
  }
  return async () => {
    // Outcomes reach their sockets, and answers their requests, at the end of the turn in which the writer gave them.
    await new Promise((resolve) => setImmediate(resolve))
    if (connections.size === 0) return
    for (const connection of connections.all()) connection.close('restart')
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS))
  }
}
