/** Peer of `fanout`: each message goes to everybody in one room, which Socket.IO encodes once. */
import type { Socket } from 'socket.io'
import { relayEvents, type SendCommand } from './relay.ts'
import { serveSocketio } from './socketio-server.ts'

const server = serveSocketio()
server.on('connection', (socket: Socket) => {
  void socket.join('everybody')
  socket.on('fan', (command: SendCommand) => {
    socket.to('everybody').emit('m', relayEvents('publisher', command).message)
  })
})
