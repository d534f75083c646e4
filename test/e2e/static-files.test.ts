// The page and the SDK as the service serves them, from files that a test puts where the build does.
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { call, get, post } from '../support/rest-client.ts'
import { useServices } from '../support/service.ts'

const services = useServices()
/** More than a socket and the kernel on both sides take at once. */
const LARGE = Buffer.alloc(2 * 1024 * 1024, 'large ')
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
  const dist = await services.ownFiles()
  const write = (name: string, content: string | Buffer): void => {
    const path = join(dist, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
  write('web/index.html', '<!doctype html><title>Chat</title>')
  write('web/assets/large-12345678.js', LARGE)
  write('client/bundle/client.js', 'export const client = 1')
  write('docs/docs.html', '<!doctype html><title>Reference</title>')
})
afterAll(() => database.drop())

/** An answer, and whether its connection has served another one before. */
async function ask(options: RequestOptions) {
  const asked = request({ host: '127.0.0.1', ...options })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of answer) text += chunk
  return { status: answer.statusCode, text, isReused: asked.reusedSocket }
}

test('the page comes with a policy of its own, and answers of the API keep theirs', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const page = await get(service, '/')
  expect([page.status, page.text]).toEqual([200, '<!doctype html><title>Chat</title>'])
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self'")
  // Two policies in one answer would both be applied.
  expect(page.headers.get('content-security-policy')).not.toContain(',')
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  for (const path of ['/healthz', '/assets/gone-12345678.js', '/nowhere']) {
    const { headers } = await get(service, path)
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-type')).toContain('application/json')
  }
  expect((await get(service, '/assets/gone-12345678.js')).status).toBe(404)
  expect((await post(service, { receiver_id: 'b', content: 'still works' })).status).toBe(201)
  const client = await get(service, '/client.js', { Origin: 'https://elsewhere.example' })
  expect([client.text, client.headers.get('access-control-allow-origin')]).toEqual(['export const client = 1', '*'])
  await service.stop()
})

test('HEAD and what has not changed come without a body, on a connection that goes on', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const etag = (await get(service, '/')).headers.get('etag')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const unchanged = await ask({ port: service.port, agent, path: '/', headers: { 'If-None-Match': String(etag) } })
  expect(unchanged).toEqual({ status: 304, text: '', isReused: false })
  expect(await ask({ port: service.port, agent, path: '/healthz' })).toMatchObject({ status: 200, isReused: true })
  agent.destroy()
  const head = await call(service, 'HEAD', '/')
  expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '34'])
  await service.stop()
})

test('a large file arrives whole at a client that reads late', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const response = await fetch(`http://127.0.0.1:${service.port}/assets/large-12345678.js`)
  expect(response.headers.get('content-length')).toBe(String(LARGE.length))
  // Others are served while its body waits to be read.
  expect((await get(service, '/healthz')).status).toBe(200)
  expect(Buffer.from(await response.arrayBuffer()).equals(LARGE)).toBe(true)
  await service.stop()
})

test('WEB=off leaves the API, the SDK and the reference', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, WEB: 'off' })
  expect((await get(service, '/')).status).toBe(404)
  expect((await get(service, '/client.js')).status).toBe(200)
  const reference = await get(service, '/docs')
  expect([reference.status, reference.text]).toEqual([200, '<!doctype html><title>Reference</title>'])
  await service.stop()
})
