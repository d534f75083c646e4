/** Peer: the `ws` package as people use it, without compression; messages go to the other socket and are forgotten. */
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { announce, relayFrames, welcomeFrame } from './relay.ts'

const sockets = new Map<string, WebSocket>()
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4096 })

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

function relay(socket: WebSocket, userId: string, bytes: RawData, isBinary: boolean): void {
  if (!Buffer.isBuffer(bytes)) throw new TypeError('ws delivers one Buffer unless its binaryType is changed')
  const { receiverId, reply, push } = relayFrames(userId, bytes, isBinary)
  socket.send(reply)
  sockets.get(receiverId)?.send(push)
}

process.on('SIGTERM', () => process.exit(0))
