import type { Client } from './client.ts'

/**
 * Tells every client to come back, each at its own time, so that they do not all come at once. The returned function
 * closes what is still open, after the answers that are on their way have been written.
 */
export function drainConnections(connections: ReadonlySet<Client>, spreadMs: number): () => Promise<void> {
  for (const connection of connections) {
    connection.reply({ type: 'draining', reconnect_after_ms: Math.floor(Math.random() * spreadMs) })
  }
  return async () => {
    // Outcomes reach their sockets, and answers their requests, at the end of the turn in which the writer gave them.
    await new Promise((resolve) => setImmediate(resolve))
    for (const connection of [...connections]) connection.close('restart')
  }
}
