/** Peer: `ws`; messages go to the other socket and are forgotten. */
import { serveWs } from './ws-server.ts'

serveWs()
