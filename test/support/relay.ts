import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP relay before a server, to take the network away from one of its clients. */
export class Relay {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isPaused = false

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      const target = connect(targetPort, '127.0.0.1')
      this.#forward(client, target)
      this.#forward(target, client)
    })
  }

  static async before(targetPort: number): Promise<Relay> {
    const relay = new Relay(targetPort)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** From here on nothing comes through, in either direction; connections stand, and new ones are accepted. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** The connections so far are half open for good: what comes on them is lost. New ones work. */
  lose(): void {
    this.#isPaused = false
    for (const socket of this.#sockets) socket.removeAllListeners('data').resume()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #forward(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.on('data', (bytes) => {
      if (!this.#isPaused) return void to.write(bytes)
      // Put back, so that it comes first when it goes on.
      from.pause()
      from.unshift(bytes)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
  }
}
