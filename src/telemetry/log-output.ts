import { constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { isatty, WriteStream } from 'node:tty'

/**
 * Where the lines of the log go. Nothing here waits, throws or fails: the service must work, and end, also when its
 * log does not. A line that cannot be written, or would wait behind more than 1 MiB of others, is dropped and counted.
 */
export interface LogOutput {
  write(line: string): void
  /** Lines dropped so far. */
  droppedLines(): number
  /** Resolves when no line waits any more, at the latest after `limitMs`. */
  settled(limitMs: number): Promise<void>
  /** Writes to a file at once what waits; for a process that ends within this call. */
  flushNow(): void
}

/** Bytes that may wait for a slow reader or disk. */
const MAX_WAITING_BYTES = 1024 * 1024
/** UTF-16 units that are written to a file together. */
const WRITE_UNITS = 64 * 1024
const NOTHING = Buffer.alloc(0)

/** The output behind a file descriptor that this process was given: 1 for standard output, 2 for standard error. */
export function openLogOutput(fd: number): LogOutput {
  if (isatty(fd)) return new StreamOutput(terminalStream(fd))
  const stat = fstatSync(fd)
  if (stat.isFIFO() || stat.isSocket()) return new StreamOutput(pipeStream(fd))
  return new FileOutput(fd)
}

/** Writes to it wait for a terminal that was stopped (Ctrl-S), unless Node is told otherwise; it has no public way for that. */
function terminalStream(fd: number): Writable {
  const stream = new WriteStream(fd)
  const { _handle: handle } = stream as WriteStream & { _handle?: { setBlocking?(isBlocking: boolean): void } }
  handle?.setBlocking?.(false)
  stream.unref()
  return stream
}

/**
 * A socket writes at once what the pipe takes and keeps the rest, where a write to a file would hold a thread until somebody
 * reads: Node waits for its threads when it ends.
 */
function pipeStream(fd: number): Writable {
  const stream = new Socket({ fd: reopened(fd), readable: false, writable: true })
  stream.unref()
  return stream
}

/** The same pipe opened anew: writes that do not wait are a property of the opening, which other processes share with us. */
function reopened(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return fd // a socket, somebody else's pipe, or a system without /proc
  }
}

class StreamOutput implements LogOutput {
  readonly #stream: Writable
  #dropped = 0
  readonly #written = (error?: Error | null): void => {
    if (error) this.#dropped += 1
  }

  constructor(stream: Writable) {
    this.#stream = stream
    // A reader that has gone does not come back. Every line from then on fails in `#written`.
    stream.on('error', () => undefined)
  }

  write(line: string): void {
    if (this.#stream.writableLength >= MAX_WAITING_BYTES) this.#dropped += 1
    else this.#stream.write(line, this.#written)
  }

  droppedLines(): number {
    return this.#dropped
  }

  settled(limitMs: number): Promise<void> {
    return within(limitMs, (done) => {
      if (this.#stream.writableLength === 0 || this.#stream.destroyed) done()
      // Nothing is written, and it comes after everything that waits.
      else this.#stream.write('', () => done())
    })
  }

  flushNow(): void {
    // What the pipe or the terminal takes it has taken.
  }
}

class FileOutput implements LogOutput {
  readonly #fd: number
  #lines: string[] = []
  /** Of the lines, and of the rest. */
  #waitingBytes = 0
  /** What a thread is writing now, or could not write; it is tried again with the next line. */
  #rest: Buffer = NOTHING
  #isWriting = false
  #dropped = 0
  #whenIdle: (() => void)[] = []

  constructor(fd: number) {
    this.#fd = fd
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line)
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.#dropped += 1
      return
    }
    this.#lines.push(line)
    this.#waitingBytes += bytes
    if (!this.#isWriting) this.#writeSome()
  }

  droppedLines(): number {
    return this.#dropped
  }

  settled(limitMs: number): Promise<void> {
    return within(limitMs, (done) => {
      if (this.#isWriting) this.#whenIdle.push(done)
      else done()
    })
  }

  flushNow(): void {
    const rest = this.#isWriting ? NOTHING : this.#rest
    try {
      writeSync(this.#fd, Buffer.concat([rest, Buffer.from(this.#lines.join(''))]))
    } catch {
      // A full disk: there is no place left to say so.
    }
  }

  #writeSome(): void {
    if (this.#rest.length === 0) this.#rest = Buffer.from(this.#takeLines())
    this.#isWriting = true
    write(this.#fd, this.#rest, (error, bytes) => {
      this.#isWriting = false
      const written = error ? 0 : bytes
      this.#rest = this.#rest.subarray(written)
      this.#waitingBytes -= written
      // A disk that is full has room again some day, but to ask all the time would not hurry that.
      if (!error && this.#waitingBytes > 0) return this.#writeSome()
      for (const done of this.#whenIdle.splice(0)) done()
    })
  }

  #takeLines(): string {
    let text = ''
    let taken = 0
    while (taken < this.#lines.length && text.length < WRITE_UNITS) {
      text += this.#lines[taken]
      taken += 1
    }
    this.#lines = this.#lines.slice(taken)
    return text
  }
}

function within(limitMs: number, wait: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs)
    wait(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
