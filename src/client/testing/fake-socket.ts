/** The client's end of a connection of the fake server. */
export class FakeSocket {
  static readonly OPEN = 1
  readyState = 0
  onopen: ((event: object) => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null = null
  onerror: ((event: object) => void) | null = null
  readonly url: string
  readonly protocols: readonly string[]
  readonly #toServer: (socket: FakeSocket, frame: string) => void
  readonly #closing: (socket: FakeSocket, code: number) => void

  constructor(
    address: { readonly url: string; readonly protocols: readonly string[] },
    server: {
      readonly received: (socket: FakeSocket, frame: string) => void
      readonly closing: (socket: FakeSocket, code: number) => void
    },
  ) {
    this.url = address.url
    this.protocols = address.protocols
    this.#toServer = server.received
    this.#closing = server.closing
  }

  send(frame: string): void {
    if (this.readyState === FakeSocket.OPEN) this.#toServer(this, frame)
  }

  close(code = 1005): void {
    if (this.readyState >= 2) return
    this.readyState = 2
    this.#closing(this, code)
  }

  opened(): void {
    if (this.readyState !== 0) return
    this.readyState = FakeSocket.OPEN
    this.onopen?.({})
  }

  deliver(frame: string): void {
    if (this.readyState === FakeSocket.OPEN) this.onmessage?.({ data: frame })
  }

  ended(code: number): void {
    if (this.readyState === 3) return
    this.readyState = 3
    this.onclose?.({ code, reason: '', wasClean: code !== 1006 })
  }
}
