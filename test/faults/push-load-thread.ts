// The chat of `push-load.ts`, on a thread of its own: what else the run has to do does not count as waiting.
import { parentPort, workerData } from 'node:worker_threads'
import { WebSocket } from 'ws'

const PAIRS = 20
/** Messages a second, over all. */
const RATE = 400

const { port } = workerData as { readonly port: number }
const sentMs = new Map<string, number>()
let tookMs: number[] = []

function open(user: number): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?user_id=L${user}`, 'messaging.v1.json')
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as { type: string; id: string; sender_id: string; seq: number }
    if (frame.type === 'message') {
      socket.send(JSON.stringify({ type: 'ack', with: frame.sender_id, seq: frame.seq }))
    }
    const sent = frame.type === 'sent' ? sentMs.get(frame.id) : undefined
    if (sent === undefined) return
    sentMs.delete(frame.id)
    tookMs.push(performance.now() - sent)
  })
  return socket
}

const sockets = Array.from({ length: 2 * PAIRS }, (_, user) => open(user))

function send(user: number): void {
  const id = crypto.randomUUID()
  sentMs.set(id, performance.now())
  const frame = { type: 'send', id, receiver_id: `L${user ^ 1}`, content: 'hello there' }
  sockets[user]?.send(JSON.stringify(frame))
}

await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('open', resolve))))
setInterval(() => {
  for (let count = 0; count < RATE / 100; count += 1) send(Math.floor(Math.random() * sockets.length))
}, 10)
/** Each message asks for the 99th percentile since the last one, in milliseconds. */
parentPort?.on('message', () => {
  const sorted = tookMs.sort((a, b) => a - b)
  tookMs = []
  parentPort?.postMessage(sorted[Math.floor(sorted.length * 0.99)] ?? 0)
})
parentPort?.postMessage('open')
