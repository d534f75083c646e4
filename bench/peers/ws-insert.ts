/** Peer: `ws` with one INSERT per message; sent and delivered once that is committed. */
import { RowStore } from './insert.ts'
import { serveWs } from './ws-server.ts'

serveWs(await RowStore.open())
