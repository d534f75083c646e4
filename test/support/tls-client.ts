// HTTP/1.1 and HTTP/2 to a site with a certificate of its own.
import { connect as connectHttp2 } from 'node:http2'
import { request as requestHttps } from 'node:https'
import { within } from './deadline.ts'
import type { Json } from './rest-client.ts'

export interface TlsSite {
  readonly port: number
  /** Certificate that is believed, PEM. */
  readonly ca: string
}

export interface TlsAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Json | undefined
}

export interface TlsCall {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** One request on a connection of its own. */
export function callByHttp1(site: TlsSite, method: string, path: string, { body, headers }: TlsCall = {}) {
  const answered = new Promise<TlsAnswer>((resolve, reject) => {
    const more = body === undefined ? {} : { 'Content-Type': 'application/json' }
    const options = { host: 'localhost', port: site.port, ca: site.ca, method, path, headers: { ...more, ...headers } }
    const request = requestHttps({ ...options, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(answerOf(response.statusCode ?? 0, response.headers, chunks)))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
  return within(answered, () => `${method} ${path}`)
}

/** One request over HTTP/2; fails where the site speaks none. Like browsers it says how long a body is. */
export function callByHttp2(site: TlsSite, method: string, path: string, { body, headers }: TlsCall = {}) {
  const session = connectHttp2(`https://localhost:${site.port}`, { ca: site.ca })
  const answered = new Promise<TlsAnswer>((resolve, reject) => {
    session.on('error', reject)
    const text = body === undefined ? undefined : JSON.stringify(body)
    const length = Buffer.byteLength(text ?? '')
    const more = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(length) }
    const stream = session.request({ ':method': method, ':path': path, ...more, ...headers })
    const chunks: Buffer[] = []
    let head: Readonly<Record<string, unknown>> = {}
    stream.on('response', (received) => {
      head = received
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => resolve(answerOf(Number(head[':status']), head, chunks)))
    stream.on('error', reject)
    stream.end(text)
  })
  return within(answered, () => `${method} ${path} over HTTP/2`).finally(() => session.close())
}

function answerOf(status: number, headers: Readonly<Record<string, unknown>>, chunks: readonly Buffer[]): TlsAnswer {
  const text = Buffer.concat(chunks).toString()
  const isJson = String(headers['content-type']).startsWith('application/json')
  return { status, headers, body: isJson && text !== '' ? JSON.parse(text) : undefined }
}

/** What the server says on a WebSocket over HTTP/2 (RFC 8441) until it has answered a ping. */
export async function talkByHttp2(site: TlsSite, path: string): Promise<string> {
  const session = connectHttp2(`https://localhost:${site.port}`, { ca: site.ca })
  const heard = new Promise<string>((resolve, reject) => {
    session.on('error', reject)
    // Before that the client does not know whether the server takes such a CONNECT.
    session.once('remoteSettings', () => {
      const stream = session.request(
        {
          ':method': 'CONNECT',
          ':protocol': 'websocket',
          ':scheme': 'https',
          ':path': path,
          'sec-websocket-version': '13',
          'sec-websocket-protocol': 'messaging.v1.json',
        },
        { endStream: false },
      )
      let text = ''
      stream.on('error', reject)
      stream.on('end', () => reject(new Error(`ended after ${text}`)))
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        if (text.includes('"pong"')) resolve(text)
      })
      stream.on('response', () => stream.write(maskedText('{"type":"ping","ref":"h2"}')))
    })
  })
  return await within(heard, () => 'a WebSocket over HTTP/2').finally(() => session.destroy())
}

/** A text frame of a client (RFC 6455 §5.2); fewer than 126 bytes. The mask is zero, so the bytes stay as they are. */
function maskedText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])
}
