import type { MessagePlace } from '../delivery/recipient.ts'
import type { Frame } from '../protocol/codec.ts'
import type { CloseName } from '../protocol/codes.ts'

/**
 * One open WebSocket. Frames leave in the order of the calls, all of one turn of the event loop in one write. No method
 * throws, and all do nothing once the socket is closed.
 */
export interface Socket {
  /** Bytes accepted by `send` that the peer's reading holds up in this process. */
  readonly bufferedBytes: number
  /** `message`: what the frame carries, reported back by `dropped` when it could not be written. */
  send(frame: Frame, message?: MessagePlace): void
  /** As `send`, for what may be lost: nobody is told when it could not be written. */
  offer(frame: Frame): void
  close(name: CloseName): void
  subscribe(topic: string): void
  unsubscribe(topic: string): void
}

/** What happens to a socket; the calls come in the order open, then any number of the others, then closed, once. */
export interface SocketListener {
  opened(socket: Socket): void
  /** The bytes are only valid during the call. */
  received(bytes: Uint8Array, isBinary: boolean): void
  /** Everything sent so far has left this process. */
  flushed(): void
  /** A frame was not written, because too much was waiting. */
  dropped(message: MessagePlace | undefined): void
  closed(code: number): void
}
