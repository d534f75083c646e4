// In front of the service: HTTP passes, and the WebSockets of pages can be made to break in the ways that links break.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { within } from './deadline.ts'

/**
 * What happens to sockets. `open`: nothing. `silent`: bytes vanish both ways, and nobody is told. `mute`: the service hears the
 * page, and the page hears nothing. `refused`: they are reset, and so are new ones.
 */
export type Link = 'open' | 'silent' | 'mute' | 'refused'

export class SocketProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #connections = new Set<Socket>()
  #link: Link = 'open'
  #withheld: (text: string) => void = () => undefined
  #closed: (code: number) => void = () => undefined

  /** `target` is the port of the service, asked for each connection; undefined: nobody is there. */
  constructor(target: () => number | undefined) {
    this.#server = createServer({ noDelay: true }, (page) => this.#accepted(page, target()))
  }

  /** Resolves with the port, which stays while services come and go behind it. */
  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  set(link: Link): void {
    this.#link = link
    if (link === 'refused') for (const page of [...this.#sockets]) page.resetAndDestroy()
  }

  /** Resolves when something of the service with `part` in it was kept from a page. */
  withheld(part: string): Promise<void> {
    const found = new Promise<void>((resolve) => {
      this.#withheld = (text) => text.includes(part) && resolve()
    })
    return within(found, () => `${part}, kept from a page`)
  }

  /** Resolves with the code that the next page gives which closes its socket; 1006 when it ends without saying so. */
  closed(): Promise<number> {
    const closed = new Promise<number>((resolve) => {
      this.#closed = resolve
    })
    return within(closed, () => 'the end of a socket')
  }

  close(): void {
    this.#server.close()
    for (const page of [...this.#connections]) page.destroy()
  }

  #accepted(page: Socket, port: number | undefined): void {
    page.on('error', () => page.destroy())
    if (!port) return void page.resetAndDestroy()
    const service = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#connections.add(page)
    service.on('error', () => page.destroy())
    service.on('close', () => page.end())
    page.on('close', () => {
      this.#connections.delete(page)
      service.destroySoon()
    })
    page.once('data', (first: Buffer) => {
      const isSocket = first.toString('latin1').startsWith('GET /ws')
      if (isSocket && this.#link === 'refused') return void page.resetAndDestroy()
      service.write(first)
      if (isSocket) return this.#join(page, service)
      page.pipe(service)
      service.pipe(page)
    })
  }

  #join(page: Socket, service: Socket): void {
    let code = 1006
    this.#sockets.add(page)
    page.on('data', (chunk: Buffer) => {
      if (this.#link === 'silent') return
      code = closeCodeIn(chunk) ?? code
      service.write(chunk)
    })
    service.on('data', (chunk: Buffer) => {
      if (this.#link === 'open') page.write(chunk)
      else this.#withheld(chunk.toString())
    })
    page.on('close', () => {
      this.#sockets.delete(page)
      this.#closed(code)
    })
  }
}

/** The code of a page's close frame (RFC 6455, 5.5.1), which is the last of a chunk: two bytes under a mask of four. */
function closeCodeIn(chunk: Buffer): number | undefined {
  const at = chunk.length - 8
  if (at < 0 || chunk[at] !== 0x88 || chunk[at + 1] !== 0x82) return undefined
  return chunk.readUInt16BE(at + 6) ^ chunk.readUInt16BE(at + 2)
}
