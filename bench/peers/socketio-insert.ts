/** Peer: Socket.IO with one INSERT per message; sent and delivered once that is committed. */
import { RowStore } from './insert.ts'
import { serveSocketio } from './socketio-server.ts'

serveSocketio({ store: await RowStore.open() })
