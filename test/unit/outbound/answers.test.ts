// What of an answer is taken, from a server that says anything.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer as createSlowServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server } from 'node:tls'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type OutboundAnswer, OutboundHttp } from '../../../src/outbound/outbound-http.ts'
import { makeCertificate } from '../../support/certificate.ts'

let server: Server
let origin: string
/** What is said to the next request, whatever it asks. */
let said = ''
let requests = 0
const http = new OutboundHttp()

beforeAll(async () => {
  // Looked at with each connection; the certificate is one that nobody signed.
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  const directory = mkdtempSync(join(tmpdir(), 'messaging-outbound-'))
  const files = makeCertificate(directory)
  server = createServer({ cert: readFileSync(files.cert), key: readFileSync(files.key) }, (socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => {
      requests += 1
      socket.write(said)
    })
  })
  rmSync(directory, { recursive: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  origin = `https://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
})
afterAll(() => {
  http.close()
  server.close()
  vi.unstubAllEnvs()
})

function ask(answer: string): Promise<OutboundAnswer> {
  said = answer.replaceAll('\n', '\r\n')
  return http.send({ method: 'POST', url: new URL(origin), reach: 'anywhere', headers: {}, body: Buffer.from('x') })
}

test('a switch to another protocol is no answer, and nobody waits for one', async () => {
  await expect(ask('HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: any\n\n')).rejects.toThrow(
    'the connection ended without an answer',
  )
})

test('what waited for a connection until its time was over is not sent', async () => {
  const slow = createSlowServer()
  const link = new Promise<Socket>((resolve) => slow.once('connection', resolve))
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
  const { port } = slow.address() as AddressInfo
  const impatient = new OutboundHttp({ timeLimitMs: 300 })
  const before = requests
  const url = new URL(`https://127.0.0.1:${port}`)
  const asked = impatient.send({ method: 'GET', url, reach: 'anywhere', headers: {} })
  await expect(asked).rejects.toThrow('no answer in time')
  // Only now it becomes a connection.
  const front = await link
  const ended = new Promise((resolve) => front.on('error', () => undefined).once('close', resolve))
  const back = connect(Number(new URL(origin).port), '127.0.0.1')
  front.pipe(back.on('error', () => undefined)).pipe(front)
  await ended
  expect(requests).toBe(before)
  impatient.close()
  slow.close()
})

test('a redirect is an answer, and not followed', async () => {
  const before = requests
  const { status } = await ask(`HTTP/1.1 307 Elsewhere\nLocation: ${origin}/inside\nContent-Length: 0\n\n`)
  expect([status, requests - before]).toEqual([307, 1])
})

test('of a body that never ends four KiB are read', async () => {
  const { status, body } = await ask(`HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2000\n${'x'.repeat(0x2000)}\n`)
  expect([status, body]).toEqual([200, 'x'.repeat(4_096)])
})

test.each([
  ['120', 120],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', undefined],
  ['1e9', undefined],
])('Retry-After %s is so many seconds: %s', async (text, seconds) => {
  const { retryAfterSeconds } = await ask(`HTTP/1.1 503 No\nRetry-After: ${text}\nContent-Length: 0\n\n`)
  expect(retryAfterSeconds).toBe(seconds)
})

test('Retry-After may be a date', async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString()
  const { retryAfterSeconds } = await ask(`HTTP/1.1 429 No\nRetry-After: ${date}\nContent-Length: 0\n\n`)
  expect(retryAfterSeconds).toBeGreaterThan(3_500)
  expect(retryAfterSeconds).toBeLessThanOrEqual(3_600)
})
