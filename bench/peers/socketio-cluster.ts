/** Peer: one of several Socket.IO servers that share rooms through Redis. */
import { createAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { serveSocketio } from './socketio-server.ts'

const publisher = new Redis(process.env['PEER_REDIS_URL'] ?? '')
serveSocketio({ adapter: createAdapter(publisher, publisher.duplicate()) })
