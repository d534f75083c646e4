import type { Connection, Submittable } from 'pg'

/** One `COPY … FROM STDIN` of text that is ready, committed by itself; given to `client.query()`. */
export class PlainCopy implements Submittable {
  readonly done: Promise<void>
  readonly #text: string
  readonly #body: Buffer
  #resolve!: () => void
  #reject!: (error: Error) => void

  constructor(text: string, body: Buffer) {
    this.#text = text
    this.#body = body
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  handleCopyInResponse(connection: Connection): void {
    const header = Buffer.alloc(5, 'd')
    header.writeInt32BE(this.#body.length + 4, 1)
    connection.stream.cork()
    connection.stream.write(header)
    connection.stream.write(this.#body)
    connection.stream.write(Buffer.from([0x63, 0, 0, 0, 4])) // CopyDone
    connection.stream.uncork()
  }

  handleCommandComplete(): void {
    // What counts is that the server is ready again: only then is it committed.
  }

  handleError(error: Error): void {
    this.#reject(error)
  }

  handleReadyForQuery(): void {
    this.#resolve()
  }
}
