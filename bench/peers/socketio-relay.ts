/** Peer: Socket.IO; messages go to the receiver's room and are forgotten. */
import { serveSocketio } from './socketio-server.ts'

serveSocketio()
