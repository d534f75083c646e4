import type { MessagePlace } from '../delivery/recipient.ts'
import type { CloseName } from '../protocol/codes.ts'
import type { Frame } from '../protocol/encoding.ts'

/**
 * One open WebSocket. Frames leave in the order of the calls, all of one turn of the event loop in one write. No method
 * throws, and all do nothing once the socket is closed.
 */
export interface Socket {
  /** Bytes accepted by `send` that the peer's reading holds up in this process. */
  readonly bufferedBytes: number
  /** Whether so little waits of what was sent that nothing of it can be dropped any more. */
  readonly keepsAll: boolean
  /** Grows whenever the peer's reading has let some of what waited leave this process. */
  readonly progress: number
  /** When anything was last heard of the peer, a pong included; in no unit: of two sockets the higher was heard later. */
  readonly lastHeard: number
  /** `message`: what the frame carries, reported back by `dropped` when it could not be written. */
  send(frame: Frame, message?: MessagePlace): void
  /** As `send`, for frames that may be lost: a failure to write one is not told. */
  offer(frame: Frame): void
  /** Asks the peer for a sign of life. */
  ping(): void
  /** `reason`: in place of the usual words of this close. */
  close(name: CloseName, reason?: string): void
  /** From here on this one listens, in place of the one before, which hears no more; it is told `opened` within the call. */
  handOver(listener: SocketListener): void
  subscribe(topic: string): void
  unsubscribe(topic: string): void
}

/** What happens to a socket; the calls come in the order open, then any number of the others, then closed, once. */
export interface SocketListener {
  opened(socket: Socket): void
  /** The bytes are only valid during the call. */
  received(bytes: Uint8Array, isBinary: boolean): void
  /** Everything sent so far has left this process. */
  emptied(): void
  /** A frame was not written, because too much was waiting. */
  dropped(message: MessagePlace | undefined): void
  closed(code: number): void
}
