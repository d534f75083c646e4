/** Peer and limit: raw uWebSockets.js doing the same, the least that a JSON relay in JavaScript can cost. */
import uWS, { type WebSocket } from 'uWebSockets.js'
import { announce, decodeCommand, relayEvents, relayFrames, welcomeFrame } from './relay.ts'

interface Session {
  readonly userId: string
  readonly isBinary: boolean
}

const sockets = new Map<string, WebSocket<Session>>()

uWS
  .App()
  .ws<Session>('/ws', {
    maxBackpressure: 16 * 1024 * 1024, // nothing may be dropped: a run with losses is void
    upgrade(response, request, context) {
      const protocol = request.getHeader('sec-websocket-protocol')
      const session = { userId: request.getQuery('user_id') ?? '', isBinary: protocol.endsWith('msgpack') }
      response.upgrade(
        session,
        request.getHeader('sec-websocket-key'),
        protocol,
        request.getHeader('sec-websocket-extensions'),
        context,
      )
    },
    open(socket) {
      const { userId, isBinary } = socket.getUserData()
      sockets.set(userId, socket)
      socket.send(welcomeFrame(userId, isBinary), isBinary)
    },
    message(socket, bytes) {
      const { userId, isBinary } = socket.getUserData()
      const { receiverId, reply, push } = relayFrames(
        relayEvents(userId, decodeCommand(Buffer.from(bytes), isBinary)),
        isBinary,
      )
      socket.send(reply, isBinary)
      sockets.get(receiverId)?.send(push, isBinary)
    },
    close(socket) {
      sockets.delete(socket.getUserData().userId)
    },
  })
  .listen('127.0.0.1', 0, (listenSocket) => {
    if (listenSocket === false) throw new Error('cannot listen')
    announce(uWS.us_socket_local_port(listenSocket))
  })

process.on('SIGTERM', () => process.exit(0))
