// A link that can be made bad: toxiproxy's vocabulary, one proxy a link, with an address that stays.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface Toxics {
  /** One way, each way, for every chunk. */
  readonly latencyMs?: number
  readonly bytesPerSecond?: number
  /** Bytes vanish without a word: the connection stays half-open. */
  readonly blackhole?: boolean
  /** The end of a connection is passed on so much later. */
  readonly slowCloseMs?: number
  /** New connections are refused by a reset. */
  readonly down?: boolean
}

export interface Pair {
  readonly client: Socket
  readonly upstream: Socket
}

export class TcpProxy {
  readonly #server: Server
  readonly #target: () => NetConnectOpts | undefined
  readonly #pairs = new Set<Pair>()
  #toxics: Toxics = {}

  /** `target` is asked for each connection; undefined: nobody is there. */
  constructor(target: () => NetConnectOpts | undefined) {
    this.#target = target
    // What one side has ended may go on in the other direction.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accepted(client))
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this.port
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }
  get connections(): number {
    return this.#pairs.size
  }

  set(toxics: Toxics): void {
    this.#toxics = toxics
  }

  /** Resets every connection. */
  reset(): void {
    for (const { client, upstream } of [...this.#pairs]) {
      client.resetAndDestroy()
      upstream.destroy()
    }
  }

  async close(): Promise<void> {
    this.#server.close()
    this.reset()
  }

  /** What is passed on, in both directions; a proxy that knows the protocol replaces it. */
  protected piped(pair: Pair): void {
    void this.pump(pair.client, pair.upstream)
    void this.pump(pair.upstream, pair.client)
  }

  protected async pump(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from) await this.pass(chunk, to)
      if (this.#toxics.slowCloseMs) await delay(this.#toxics.slowCloseMs)
      to.end()
    } catch {
      to.destroy() // the error is the peer's end: it is passed on
    }
  }

  protected async pass(chunk: Buffer, to: Socket): Promise<void> {
    const { latencyMs, bytesPerSecond, blackhole } = this.#toxics
    if (blackhole) return
    if (latencyMs) await delay(latencyMs)
    if (bytesPerSecond) await delay((chunk.length / bytesPerSecond) * 1000)
    // Also called when the socket is destroyed.
    await new Promise<void>((resolve) => to.write(chunk, () => resolve()))
  }

  #accepted(client: Socket): void {
    const target = this.#target()
    // Without a listener an error ends the process; with only this one it ends the pair.
    client.on('error', () => client.destroy())
    if (!target || this.#toxics.down) return void client.resetAndDestroy()
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true } as NetConnectOpts)
    const pair = { client, upstream }
    this.#pairs.add(pair)
    upstream.on('error', () => upstream.destroy())
    // What was passed on before the end is still to arrive.
    client.on('close', (hadError) => (hadError ? upstream.destroy() : upstream.destroySoon()))
    upstream.on('close', (hadError) => {
      this.#pairs.delete(pair)
      if (hadError) client.destroy()
      else client.destroySoon()
    })
    upstream.once('connect', () => this.piped(pair))
  }
}
