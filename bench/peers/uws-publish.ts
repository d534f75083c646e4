/** Peer and limit of `fanout`: whatever comes in, `app.publish` sends one constant buffer to everybody else. */
import uWS from 'uWebSockets.js'
import { announce, welcomeFrame } from './relay.ts'

const frame = Buffer.from(process.env['PEER_FRAME'] ?? '')

uWS
  .App()
  .ws<object>('/ws', {
    maxBackpressure: 16 * 1024 * 1024,
    open(socket) {
      socket.subscribe('everybody')
      socket.send(welcomeFrame('', false), false)
    },
    message(socket) {
      socket.publish('everybody', frame, false)
    },
  })
  .listen('127.0.0.1', 0, (listenSocket) => {
    if (listenSocket === false) throw new Error('cannot listen')
    announce(uWS.us_socket_local_port(listenSocket))
  })

process.on('SIGTERM', () => process.exit(0))
