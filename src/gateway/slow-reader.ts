import type { Clock } from '../lib/clock.ts'
import type { Socket } from './socket.ts'

export interface SlowReaderOptions {
  readonly socket: Pick<Socket, 'bufferedBytes' | 'progress' | 'close'>
  readonly clock: Clock
  /** Bytes waiting beyond which nothing live is written. */
  readonly maxBackpressureBytes: number
  /** How long the peer may read nothing while a replay waits for it; milliseconds. */
  readonly laggingTimeoutMs: number
}

/** Watches how the peer of one socket reads. A slow reader may take its time; one that reads nothing at all may not. */
export class SlowReader {
  readonly #options: SlowReaderOptions
  #hasRoom: (() => void) | undefined

  constructor(options: SlowReaderOptions) {
    this.#options = options
  }

  get isBackedUp(): boolean {
    return this.#options.socket.bufferedBytes > this.#options.maxBackpressureBytes
  }

  /** Resolves when nothing waits to be read any more, or the socket has closed; never rejects. */
  async room(): Promise<void> {
    const { bufferedBytes, progress } = this.#options.socket
    if (bufferedBytes === 0) return
    const cancel = this.#closeWhenStuck(progress)
    await new Promise<void>((resolve) => {
      this.#hasRoom = resolve
    })
    this.#hasRoom = undefined
    cancel()
  }

  /** Everything written so far has left this process, or the socket has closed. */
  emptied(): void {
    this.#hasRoom?.()
  }

  /** Not by how much waits: the answers to what it goes on asking are added to that. */
  #closeWhenStuck(progress: number): () => void {
    const { socket, clock, laggingTimeoutMs } = this.#options
    let cancel = clock.after(laggingTimeoutMs, () => {
      if (socket.progress === progress) socket.close('slow_consumer')
      else cancel = this.#closeWhenStuck(socket.progress)
    })
    return () => cancel()
  }
}
