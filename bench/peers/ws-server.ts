/** The `ws` package as people use it, without compression: a Map from user to socket. */
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { RowStore } from './insert.ts'
import { announce, decodeCommand, type RelayFrames, relayEvents, relayFrames, welcomeFrame } from './relay.ts'

/** Listens; with a store each message is stored before anybody hears of it. */
export function serveWs(store?: RowStore): void {
  const sockets = new Map<string, WebSocket>()
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4096 })

  function forward(socket: WebSocket, { receiverId, reply, push }: RelayFrames): void {
    socket.send(reply)
    sockets.get(receiverId)?.send(push)
  }

  function relay(socket: WebSocket, userId: string, bytes: RawData, isBinary: boolean): void {
    if (!Buffer.isBuffer(bytes)) throw new TypeError('ws delivers one Buffer unless its binaryType is changed')
    const events = relayEvents(userId, decodeCommand(bytes, isBinary))
    if (store === undefined) return forward(socket, relayFrames(events, isBinary))
    void store.insert(events).then(() => forward(socket, relayFrames(events, isBinary)))
  }

  server.on('listening', () => {
    const address = server.address()
    if (address !== null && typeof address === 'object') announce(address.port)
  })

  server.on('connection', (socket, request) => {
    const userId = new URL(request.url ?? '/', 'http://localhost').searchParams.get('user_id') ?? ''
    const isBinary = socket.protocol.endsWith('msgpack')
    sockets.set(userId, socket)
    socket.on('message', (bytes) => relay(socket, userId, bytes, isBinary))
    socket.on('close', () => sockets.delete(userId))
    socket.send(welcomeFrame(userId, isBinary))
  })

  process.on('SIGTERM', () => process.exit(0))
}
