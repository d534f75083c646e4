import type { MessagePlace } from '../delivery/recipient.ts'
import type { Socket, SocketListener } from '../gateway/socket.ts'
import { bytesOf } from '../gateway/wire/msgpack.ts'
import type { Logger } from '../lib/logger.ts'
import { CLOSES, type CloseName } from '../protocol/codes.ts'
import type { Frame } from '../protocol/encoding.ts'
import type { WebSocket } from './uws.ts'

/** Results of uWebSockets' send. */
const BUFFERED = 0
const DROPPED = 2
/** Surely taken by uWebSockets where nothing waits: three bytes each at most, it drops beyond 16 MiB. */
const KEPT_CHARACTERS = 1024 * 1024
/** Stands for a message in the queue where a frame may be lost. */
const OPTIONAL: MessagePlace = { seq: 0, sender_id: '', receiver_id: '' }

/**
 * Writes what was sent in one turn of the event loop at its end, socket by socket. A committed batch gives one socket many
 * frames; written together they cost one system call.
 */
export class WriteQueue {
  #dirty: UwsSocket[] = []
  #isScheduled = false
  readonly #flush = (): void => {
    this.#isScheduled = false
    const sockets = this.#dirty
    this.#dirty = []
    for (const socket of sockets) socket.flush()
  }

  add(socket: UwsSocket): void {
    this.#dirty.push(socket)
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(this.#flush)
  }
}

/** Signs of life over all sockets: the order of two is known without looking at a clock for each frame. */
let signsOfLife = 0

/** uWebSockets copies the properties of what it is given, so an object with methods has to hang one level deeper. */
export interface SocketHolder {
  readonly socket: UwsSocket
}

/** One uWebSockets socket; inert before `opened` and after `closed`, when touching the native object would throw. */
export class UwsSocket implements Socket {
  #listener: SocketListener
  readonly #isBinary: boolean
  readonly #writes: WriteQueue
  readonly #logger: Logger
  #ws: WebSocket<SocketHolder> | undefined
  #frames: Frame[] | undefined
  #messages: (MessagePlace | undefined)[] | undefined
  /** Set while the kernel takes no more, so that the common case never asks the native object. */
  #isBackedUp = false
  #hasFailed = false
  #progress = 0
  #lastHeard = 0

  constructor(listener: SocketListener, isBinary: boolean, writes: WriteQueue, logger: Logger) {
    this.#listener = listener
    this.#isBinary = isBinary
    this.#writes = writes
    this.#logger = logger
  }

  get bufferedBytes(): number {
    return this.#isBackedUp ? (this.#ws?.getBufferedAmount() ?? 0) : 0
  }

  get keepsAll(): boolean {
    const characters = this.#frames?.reduce((sum, { length }) => sum + length, 0) ?? 0
    return !this.#isBackedUp && characters <= KEPT_CHARACTERS
  }

  get progress(): number {
    return this.#progress
  }

  get lastHeard(): number {
    return this.#lastHeard
  }

  offer(frame: Frame): void {
    this.send(frame, OPTIONAL)
  }

  send(frame: Frame, message?: MessagePlace): void {
    if (!this.#ws) return
    if (this.#frames && this.#messages) {
      this.#frames.push(frame)
      this.#messages.push(message)
      return
    }
    this.#frames = [frame]
    this.#messages = [message]
    this.#writes.add(this)
  }

  ping(): void {
    this.#ws?.ping()
  }

  close(name: CloseName, reason: string = CLOSES[name].reason): void {
    this.flush()
    this.#ws?.end(CLOSES[name].code, reason)
  }

  handOver(listener: SocketListener): void {
    if (!this.#ws) return
    this.#listener = listener
    this.#guarded(() => listener.opened(this))
  }

  subscribe(topic: string): void {
    this.#ws?.subscribe(topic)
  }

  unsubscribe(topic: string): void {
    this.#ws?.unsubscribe(topic)
  }

  opened(ws: WebSocket<SocketHolder>): void {
    this.#ws = ws
    this.heard()
    this.#guarded(() => this.#listener.opened(this))
  }

  /** The message's memory is taken back when this returns. */
  received(message: ArrayBuffer, isBinary: boolean): void {
    this.heard()
    this.#guarded(() => this.#listener.received(Buffer.from(message), isBinary))
  }

  /** A ping or a pong came. */
  heard(): void {
    signsOfLife += 1
    this.#lastHeard = signsOfLife
  }

  drained(): void {
    this.heard()
    this.#progress += 1
    this.#guarded(() => this.#settleBuffer())
  }

  closed(code: number): void {
    this.#ws = undefined
    this.#frames = undefined
    this.#messages = undefined
    this.#guarded(() => this.#listener.closed(code))
  }

  flush(): void {
    const ws = this.#ws
    const frames = this.#frames
    const messages = this.#messages
    if (!ws || !frames || !messages) return
    this.#frames = undefined
    this.#messages = undefined
    this.#guarded(() => {
      const waitedBytes = this.bufferedBytes
      let addedBytes = 0
      const write = (): void => {
        addedBytes = this.#write(ws, frames, messages)
      }
      if (frames.length === 1) write()
      else ws.cork(write)
      // A write takes along what the kernel has room for, and where somebody writes often there is no drain to tell of it.
      if (waitedBytes > 0 && this.bufferedBytes < waitedBytes + addedBytes) this.#progress += 1
      this.#settleBuffer()
    })
  }

  /** A bug met by one client ends that client's connection, not everybody's. */
  #guarded(task: () => void): void {
    try {
      task()
    } catch (error) {
      this.#logger.error({ err: error }, 'a connection failed')
      // Closing writes what waits, which may fail as well.
      if (this.#hasFailed) return
      this.#hasFailed = true
      this.close('internal')
    }
  }

  /** Returns the bytes of what was accepted while something was waiting already; without their headers. */
  #write(
    ws: WebSocket<SocketHolder>,
    frames: readonly Frame[],
    messages: readonly (MessagePlace | undefined)[],
  ): number {
    let hasDropped = false
    let addedBytes = 0
    for (let index = 0; index < frames.length; index += 1) {
      const frame = frames[index] ?? ''
      const message = messages[index]
      // A smaller frame might still fit, but would overtake the one that did not.
      if (hasDropped && message && message !== OPTIONAL) {
        this.#listener.dropped(message)
        continue
      }
      const result = this.#isBinary ? ws.send(bytesOf(frame), true) : ws.send(frame, false)
      // A frame in MessagePack holds one character for each byte.
      if (this.#isBackedUp && result !== DROPPED) addedBytes += this.#isBinary ? frame.length : Buffer.byteLength(frame)
      if (result === BUFFERED) this.#isBackedUp = true
      if (result === DROPPED && message !== OPTIONAL) {
        hasDropped = true
        this.#listener.dropped(message)
      }
      // A listener may close the socket; the native object must not be touched then.
      if (this.#ws !== ws) break
    }
    return addedBytes
  }

  /** Corked sends report success before the kernel has taken them, so what counts is what is left afterwards. */
  #settleBuffer(): void {
    const left = this.#ws?.getBufferedAmount()
    if (left === undefined) return
    this.#isBackedUp = left > 0
    if (left === 0) this.#listener.emptied()
  }
}
