import { randomBytes } from 'node:crypto'
import { createConnection, type Socket } from 'node:net'
import type { Wire } from './wire.ts'

/** Where to connect and as whom. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Request target of the upgrade. */
  readonly target: string
  /** Empty: none is offered. */
  readonly subprotocol: string
}

/** Where a user connects who speaks this wire. */
export function endpointOf(who: { host: string; port: number; userId: string; wire: Wire }): Endpoint {
  return {
    host: who.host,
    port: who.port,
    target: who.wire.target(who.userId),
    subprotocol: who.wire.offer(who.userId),
  }
}

/** Shared by all sockets of a process: each chunk is consumed before the next read begins. */
const readBuffer = Buffer.allocUnsafe(256 * 1024)
const headEnd = Buffer.from('\r\n\r\n')

/** Opens a WebSocket; `onBytes` gets what follows the 101, `onClose` the reason why the socket ended. */
export function openWebSocket(
  endpoint: Endpoint,
  onBytes: (chunk: Buffer) => void,
  onClose: (reason: string) => void,
): Socket {
  let head: Buffer | undefined = Buffer.alloc(0)
  const takeHead = (chunk: Buffer, before: Buffer): void => {
    const bytes = Buffer.concat([before, chunk])
    const end = bytes.indexOf(headEnd)
    head = end < 0 ? bytes : undefined
    if (end < 0) return
    const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'))
    if (status.includes(' 101')) onBytes(bytes.subarray(end + headEnd.length))
    else socket.destroy(new Error(`upgrade refused: ${status}`))
  }
  const callback = (byteCount: number): boolean => {
    const chunk = readBuffer.subarray(0, byteCount)
    if (head === undefined) onBytes(chunk)
    else takeHead(chunk, head)
    return true
  }
  const { host, port } = endpoint
  const socket = createConnection({ host, port, noDelay: true, onread: { buffer: readBuffer, callback } })
  socket.on('connect', () => socket.write(upgradeRequest(endpoint)))
  socket.on('error', (error) => onClose(error.message))
  socket.on('close', () => onClose('closed by the server'))
  return socket
}

function upgradeRequest({ host, port, target, subprotocol }: Endpoint): string {
  return [
    `GET ${target} HTTP/1.1`,
    `Host: ${host}:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
    ...(subprotocol === '' ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`]),
    '\r\n',
  ].join('\r\n')
}
