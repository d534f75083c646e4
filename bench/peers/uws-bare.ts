/** Limit of `idle` and `storm`: raw uWebSockets.js that upgrades, says one welcome and knows nothing more. */
import uWS from 'uWebSockets.js'
import { announce, welcomeFrame } from './relay.ts'

const welcome = welcomeFrame('', false)

uWS
  .App()
  .ws<object>('/ws', {
    idleTimeout: 32, // as our service
    open: (socket) => {
      socket.send(welcome, false)
    },
  })
  .listen('127.0.0.1', 0, (listenSocket) => {
    if (listenSocket === false) throw new Error('cannot listen')
    announce(uWS.us_socket_local_port(listenSocket))
  })

process.on('SIGTERM', () => process.exit(0))
