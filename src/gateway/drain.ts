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
  sayDraining(connections, spreadMs)
  return async () => {
    // Outcomes reach their sockets, and answers their requests, at the end of the turn in which the writer gave them.
    await new Promise((resolve) => setImmediate(resolve))
    if (connections.size === 0) return
    for (const connection of connections.all()) connection.close('restart')
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS))
  }
}

/**
 * The same for a new line of history, of which nothing may reach a socket of the line before: a client would take it for the
 * next of what it has. So the sockets close at once; an answer that is lost with them is asked for again.
 */
export function restartConnections(connections: Connections, spreadMs: number): void {
  sayDraining(connections, spreadMs)
  for (const connection of connections.all()) connection.close('restart')
}

function sayDraining(connections: Connections, spreadMs: number): void {
  for (const connection of connections.all())
    connection.reply({ type: 'draining', reconnect_after_ms: Math.floor(Math.random() * spreadMs) })
}
