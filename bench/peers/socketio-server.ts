/** Socket.IO at its best: WebSocket only, no compression, without the upgrade request that it keeps per socket. */
import { createServer } from 'node:http'
import { Server, type ServerOptions, type Socket } from 'socket.io'
import type { RowStore } from './insert.ts'
import { announce, type RelayEvents, relayEvents, type SendCommand } from './relay.ts'

export interface SocketioOptions {
  readonly store?: RowStore
  readonly adapter?: ServerOptions['adapter']
}

type Acknowledge = (reply: object) => void

/** Listens; a room per user, events named `m`, replies as acknowledgements. Returns the server for what only one peer does. */
export function serveSocketio({ store, adapter }: SocketioOptions = {}): Server {
  const http = createServer()
  const server = new Server(http, {
    transports: ['websocket'],
    perMessageDeflate: false,
    httpCompression: false,
    serveClient: false,
    ...(adapter !== undefined && { adapter }),
  })
  function forward({ receiverId, sent, message }: RelayEvents, acknowledge: Acknowledge): void {
    acknowledge(sent)
    server.to(receiverId).emit('m', message)
  }

  function relay(userId: string, command: SendCommand, acknowledge: Acknowledge): void {
    const events = relayEvents(userId, command)
    if (store === undefined) return forward(events, acknowledge)
    void store.insert(events).then(() => forward(events, acknowledge))
  }

  server.on('connection', (socket: Socket) => {
    const userId = String(socket.handshake.query['user_id'])
    // socket.io/docs/v4/memory-usage; not earlier, the handshake is made of it.
    Object.assign(socket.conn, { request: null })
    void socket.join(userId)
    socket.on('m', (command: SendCommand, acknowledge: Acknowledge) => relay(userId, command, acknowledge))
  })

  http.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
    const address = http.address()
    if (address !== null && typeof address === 'object') announce(address.port)
  })
  process.on('SIGTERM', () => process.exit(0))
  return server
}
