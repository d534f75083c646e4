// A push service as browsers have one: https with a CA of its own. It checks who is asking (RFC 8292), decrypts with the
// browser's private key (RFC 8291), and answers as it is told.
import { execFileSync } from 'node:child_process'
import { createDecipheriv, createECDH, type ECDH, hkdfSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importJWK, jwtVerify } from 'jose'
import { within } from './deadline.ts'

/** What a page gets from its browser, and what only the browser knows. */
export interface FakeBrowser {
  readonly id: string
  /** As `PushSubscription.toJSON()` gives it. */
  readonly json: { readonly endpoint: string; readonly keys: { readonly p256dh: string; readonly auth: string } }
}

export interface ReceivedPush {
  readonly browser: string
  readonly ttl: number
  readonly urgency: string
  readonly topic: string
  /** Of the plaintext. */
  readonly bytes: number
  // biome-ignore lint/suspicious/noExplicitAny: what a push holds is what its test says
  readonly data: any
  readonly atMs: number
}

export interface ScriptedAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Waits so long; longer than the asker does: never. */
  readonly delayMs?: number
}

interface Known {
  readonly curve: ECDH
  readonly auth: Buffer
  /** The key that the page subscribed with. */
  readonly serverKey: string
}

const TAKEN: ScriptedAnswer = { status: 201 }
const SUBJECT = 'mailto:admin@push-subject.dev'
const DAY_SECONDS = 24 * 60 * 60

export class FakePushService {
  readonly received: ReceivedPush[] = []
  /** What a push service would have refused. */
  readonly faults: string[] = []
  /** Every request, also those that were answered with an error. */
  requests = 0
  /** Connections that were made, also those without a request. */
  connections = 0
  /** Told what to answer; by default everything is taken. */
  answer: (browser: string, count: number) => ScriptedAnswer = () => TAKEN
  /** Off where only the number of pushes matters. */
  isThorough = true
  readonly #server: Server
  readonly #directory: string
  readonly #browsers = new Map<string, Known>()
  readonly #counts = new Map<string, number>()
  #watchers: (() => void)[] = []

  private constructor(server: Server, directory: string) {
    this.#server = server
    this.#directory = directory
  }

  static async start(): Promise<FakePushService> {
    const directory = await mkdtemp(join(tmpdir(), 'messaging-push-'))
    const { key, cert } = makeCertificates(directory)
    const server = createServer({ key, cert, keepAliveTimeout: 60_000 })
    const service = new FakePushService(server, directory)
    server.on('connection', () => {
      service.connections += 1
    })
    server.on('request', (request, response) => void service.#take(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return service
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What the service under test is started with. */
  get env() {
    return { PUSH_SUBJECT: SUBJECT, PUSH_HOSTS: this.host, NODE_EXTRA_CA_CERTS: join(this.#directory, 'ca.pem') }
  }

  /** A browser subscribes with the server's public key. */
  subscribe(serverKey: string): FakeBrowser {
    const curve = createECDH('prime256v1')
    curve.generateKeys()
    const auth = randomBytes(16)
    const id = crypto.randomUUID()
    this.#browsers.set(id, { curve, auth, serverKey })
    const keys = { p256dh: curve.getPublicKey().toString('base64url'), auth: auth.toString('base64url') }
    return { id, json: { endpoint: `https://${this.host}/push/${id}`, keys } }
  }

  /** Those that a browser got, oldest first. */
  of({ id }: FakeBrowser): ReceivedPush[] {
    return this.received.filter(({ browser }) => browser === id)
  }

  /** Resolves with a push of this browser that matches, past or to come. */
  async pushed(browser: FakeBrowser, matches: (push: ReceivedPush) => boolean = () => true): Promise<ReceivedPush> {
    const found = (): ReceivedPush | undefined => this.of(browser).find(matches)
    await this.until(() => found() !== undefined, 'a push')
    return found() as ReceivedPush
  }

  /** Resolves when this holds; it is looked at with every request. */
  until(holds: () => boolean, what: string, limitMs?: number): Promise<void> {
    const done = new Promise<void>((resolve) => {
      const look = (): void => {
        if (holds()) resolve()
        else this.#watchers.push(look)
      }
      look()
    })
    return within(done, () => `${what}; received ${this.received.length}, faults ${this.faults.slice(0, 5)}`, limitMs)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    this.requests += 1
    const id = (request.url ?? '').replace('/push/', '')
    const count = (this.#counts.get(id) ?? 0) + 1
    this.#counts.set(id, count)
    const answer = this.answer(id, count)
    const isTaken = answer.status >= 200 && answer.status < 300
    const fault = await this.#receive(id, request, Buffer.concat(chunks), isTaken).catch(String)
    if (fault !== undefined) this.faults.push(fault)
    if (answer.delayMs) await new Promise((resolve) => setTimeout(resolve, answer.delayMs))
    response.writeHead(fault === undefined ? answer.status : 400, answer.headers ?? {}).end(answer.body ?? fault ?? '')
    const watchers = this.#watchers
    this.#watchers = []
    for (const look of watchers) look()
  }

  /** Resolves with what is wrong with it. */
  async #receive(id: string, request: IncomingMessage, body: Buffer, isTaken: boolean): Promise<string | undefined> {
    const known = this.#browsers.get(id)
    if (!known) return `no browser ${id}`
    const { ttl, urgency, topic, authorization, ...headers } = request.headers
    if (request.method !== 'POST' || headers['content-encoding'] !== 'aes128gcm') return 'no push'
    if (!/^\d{1,9}$/.test(String(ttl))) return `TTL ${ttl}`
    if (!['very-low', 'low', 'normal', 'high'].includes(String(urgency))) return `urgency ${urgency}`
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(String(topic))) return `topic ${topic}`
    if (body.byteLength > 4_096) return `${body.byteLength} bytes`
    const fault = this.isThorough ? await this.#vapidFault(String(authorization), known) : undefined
    if (fault !== undefined) return fault
    const text = this.isThorough ? decrypt(body, known).toString('utf8') : '{}'
    if (!isTaken) return undefined
    this.received.push({
      browser: id,
      ttl: Number(ttl),
      urgency: String(urgency),
      topic: String(topic),
      bytes: Buffer.byteLength(text),
      data: JSON.parse(text),
      atMs: performance.now(),
    })
    return undefined
  }

  async #vapidFault(authorization: string, { serverKey }: Known): Promise<string | undefined> {
    const [, token = '', key = ''] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(authorization) ?? []
    if (key !== serverKey) return `signed by ${key}, subscribed with ${serverKey}`
    const point = Buffer.from(key, 'base64url')
    const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')]
    const publicKey = await importJWK({ kty: 'EC', crv: 'P-256', x, y }, 'ES256')
    const { payload } = await jwtVerify(token, publicKey, { algorithms: ['ES256'], audience: `https://${this.host}` })
    if (payload.sub !== SUBJECT) return `subject ${payload.sub}`
    const leftSeconds = (payload.exp ?? 0) - Date.now() / 1000
    return leftSeconds > 0 && leftSeconds <= DAY_SECONDS ? undefined : `it ends in ${leftSeconds} s`
  }
}

/** RFC 8291, 3.4, and RFC 8188, 2: one record. */
function decrypt(body: Buffer, { curve, auth }: Known): Buffer {
  const salt = body.subarray(0, 16)
  const keyLength = body.readUInt8(20)
  const sender = body.subarray(21, 21 + keyLength)
  const secret = curve.computeSecret(sender)
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), curve.getPublicKey(), sender])
  const input = Buffer.from(hkdfSync('sha256', secret, auth, info, 32))
  const key = Buffer.from(hkdfSync('sha256', input, salt, 'Content-Encoding: aes128gcm\0', 16))
  const nonce = Buffer.from(hkdfSync('sha256', input, salt, 'Content-Encoding: nonce\0', 12))
  const record = body.subarray(21 + keyLength)
  const decipher = createDecipheriv('aes-128-gcm', key, nonce)
  decipher.setAuthTag(record.subarray(-16))
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()])
  const end = padded.lastIndexOf(2)
  if (end < 0 || padded.subarray(end + 1).some((byte) => byte !== 0)) throw new Error('wrong padding of the record')
  return padded.subarray(0, end)
}

/** A CA, and a certificate of it for this machine's address. */
function makeCertificates(directory: string): { key: Buffer; cert: Buffer } {
  const file = (name: string): string => join(directory, name)
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
  openssl('req', '-x509', ...curve, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-subj', '/CN=ca', '-days', '30')
  openssl('req', ...curve, '-keyout', file('key.pem'), '-out', file('csr.pem'), '-subj', '/CN=push')
  writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost')
  const ca = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('names')]
  openssl('x509', '-req', '-in', file('csr.pem'), '-out', file('cert.pem'), '-days', '30', ...ca)
  return { key: readFileSync(file('key.pem')), cert: readFileSync(file('cert.pem')) }
}
