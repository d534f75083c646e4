import type { Socket, SocketListener } from '../../src/gateway/socket.ts'
import type { CloseName } from '../../src/protocol/codes.ts'
import type { Frame } from '../../src/protocol/encoding.ts'

/** A socket that notes what becomes of it, and tells its listener of its end as the transport does. */
export class NotedSocket implements Socket {
  readonly bufferedBytes = 0
  readonly keepsAll = true
  readonly progress = 0
  readonly lastHeard = 0
  readonly events: Record<string, unknown>[] = []
  closedBy: CloseName | undefined
  listener: SocketListener
  constructor(listener: SocketListener) {
    this.listener = listener
    listener.opened(this)
  }
  send(frame: Frame): void {
    this.events.push(JSON.parse(frame))
  }
  offer(frame: Frame): void {
    this.send(frame)
  }
  close(name: CloseName): void {
    if (this.closedBy) return
    this.closedBy = name
    this.listener.closed(1)
  }
  handOver(listener: SocketListener): void {
    this.listener = listener
    listener.opened(this)
  }
  ping(): void {
    throw new Error('nobody is asked in the lobby')
  }
  subscribe(): void {
    throw new Error('nobody is known in the lobby')
  }
  unsubscribe(): void {
    throw new Error('nobody is known in the lobby')
  }
  says(frame: object | string): void {
    const text = typeof frame === 'string' ? frame : JSON.stringify(frame)
    this.listener.received(new TextEncoder().encode(text), false)
  }
}
