/** Limit of `rest`: raw uWebSockets.js that answers every request with the same bytes. */
import uWS from 'uWebSockets.js'
import { announce } from './relay.ts'

const body = Buffer.from(process.env['PEER_BODY'] ?? '')

uWS
  .App()
  .any('/*', (response) => {
    response.cork(() => response.writeHeader('Content-Type', 'application/json; charset=utf-8').end(body))
  })
  .listen('127.0.0.1', 0, (listenSocket) => {
    if (listenSocket === false) throw new Error('cannot listen')
    announce(uWS.us_socket_local_port(listenSocket))
  })

process.on('SIGTERM', () => process.exit(0))
