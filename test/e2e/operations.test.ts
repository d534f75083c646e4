// What operators and generic HTTP clients rely on: routes, methods, health, readiness, metrics, the OpenAPI document.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { figure } from '../support/figures.ts'
import { OpenApi } from '../support/openapi.ts'
import { rawRequest, upgradeRequest } from '../support/raw-http.ts'
import { call, get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const services = useServices()
let postgres: ExternalPostgres
let service: ServiceProcess

beforeAll(async () => {
  postgres = await ExternalPostgres.start()
  service = await services.start({ POSTGRES_DSN: postgres.dsn })
})
afterAll(async () => {
  await service.stop()
  await postgres.remove()
})

test.each([
  '/',
  '/api',
  '/api/send_message/',
  '/api/nothing',
  '/favicon.ico',
  '/constructor',
  '/__proto__',
  '/API/messages',
])('answers %s with 404 JSON', async (path) => {
  for (const method of ['GET', 'POST', 'DELETE']) {
    const { status, body, headers } = await call(service, method, path)
    expect(status).toBe(404)
    expect(body).toMatchObject({ error: { code: 'not_found' }, request_id: headers.get('x-request-id') })
  }
})

test.each([
  ['/api/send_message', 'POST', ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']],
  ['/api/messages', 'GET, HEAD', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']],
  ['/api/conversations', 'GET, HEAD', ['POST', 'DELETE']],
  ['/api/online_users', 'GET, HEAD', ['POST', 'DELETE']],
  ['/healthz', 'GET, HEAD', ['POST']],
  ['/readyz', 'GET, HEAD', ['POST']],
  ['/metrics', 'GET, HEAD', ['POST']],
  ['/openapi.json', 'GET, HEAD', ['POST']],
  ['/asyncapi.json', 'GET, HEAD', ['POST']],
  ['/ws', 'GET, HEAD', ['POST']],
])('answers wrong methods on %s with 405 and Allow: %s', async (path, allowed, methods) => {
  for (const method of methods) {
    const { status, headers, body } = await call(service, method, path)
    expect([method, status, headers.get('allow')]).toEqual([method, 405, allowed])
    if (method !== 'HEAD') expect(body).toMatchObject({ error: { code: 'method_not_allowed' } })
  }
})

test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty', 'get', 'Post'])(
  'takes %s for no method of its own',
  async (method) => {
    const answer = await rawRequest(service, `${method} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    expect([405, undefined]).toContain(answer?.status)
  },
)

test.each([
  '/api/messages?user_id=a&with=b',
  '/api/online_users',
  '/healthz',
  '/readyz',
  '/metrics',
  '/openapi.json',
  '/asyncapi.json',
])('answers HEAD %s like GET, without the body', async (path) => {
  const answer = await rawRequest(service, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  const head = await call(service, 'HEAD', path)
  expect([head.status, head.text]).toEqual([200, ''])
  expect(head.headers.get('content-type')).toMatch(
    new RegExp(/^content-type: (\S+)/im.exec(answer?.head ?? '')?.[1] ?? '-'),
  )
  if (path !== '/metrics') expect(head.headers.get('content-length')).toBe(String(answer?.body.length))
})

test('sends headers that keep answers from being cached or guessed at', async () => {
  const { headers } = await get(service, '/api/online_users')
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
})

test('gives each request an id of its own', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => get(service, '/nothing')))
  expect(new Set(answers.map(({ body }) => body?.request_id)).size).toBe(20)
})

test('speaks Prometheus on /metrics and counts what happens', async () => {
  const client = await SocketClient.connect(service, 'counted')
  const message = { receiver_id: 'b', content: 'x', id: crypto.randomUUID() }
  await post(service, message)
  await post(service, message)
  await post(service, { ...message, content: 'other' })
  await call(service, 'MADEUP', '/made/up')
  // Neither of these reaches a handler.
  await rawRequest(service, 'GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
  await rawRequest(service, upgradeRequest('/ws?user_id=old', { 'Sec-WebSocket-Version': '8' }))
  expect(await client.ask({ type: 'send', receiver_id: '' })).toMatchObject({ type: 'error' })
  await (await SocketClient.connect(service, 'passing')).close()
  const { headers, text } = await get(service, '/metrics')
  expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(text.endsWith('\n')).toBe(true)
  const line = /^(#.*|[a-zA-Z_:][\w:]*(\{(\w+="[^"\\]*",?)*\})? (-?\d[\d.]*(e[+-]?\d+)?|NaN|[+-]Inf))?$/
  expect(text.split('\n').filter((one) => !line.test(one))).toEqual([])
  const value = (name: string): number =>
    Number(
      text
        .split('\n')
        .find((one) => one.startsWith(`${name} `))
        ?.split(' ')[1],
    )
  expect(value('messaging_connections')).toBe(1)
  for (const outcome of ['stored', 'duplicate', 'conflict']) {
    expect([outcome, value(`messaging_sends_total{outcome="${outcome}"}`)]).toEqual([outcome, 1])
  }
  for (const name of ['messaging_queue_rows', 'messaging_queue_age_seconds', 'nodejs_eventloop_lag_p99_seconds']) {
    expect([name, value(name)]).toEqual([name, expect.any(Number)])
    expect(value(name)).not.toBeNaN()
  }
  for (const [name, count] of [
    ['messaging_requests_total{method="POST",route="/api/send_message",status="409"}', 1],
    ['messaging_requests_total{method="*",route="*",status="404"}', 1],
    ['messaging_requests_total{method="GET",route="*",status="400"}', 1],
    ['messaging_requests_total{method="GET",route="*",status="426"}', 1],
    ['messaging_refusals_total{route="/api/send_message",code="id_conflict"}', 1],
    ['messaging_refusals_total{route="*",code="upgrade_required"}', 1],
    ['messaging_refusals_total{route="/ws",code="invalid_request"}', 1],
    ['messaging_closes_total{code="1005"}', 1],
  ] as const) {
    expect([name, value(name)]).toEqual([name, count])
  }
  expect(value('messaging_ack_seconds_count')).toBe(3)
  expect(value('messaging_batch_rows_count')).toBeGreaterThan(0)
  await client.close()
})

test('publishes OpenAPI 3.1 of every route', async () => {
  const { document } = await OpenApi.of(service)
  expect(document.openapi).toMatch(/^3\.1\./)
  const paths = ['send_message', 'messages', 'conversations', 'online_users'].map((name) => `/api/${name}`)
  expect(Object.keys(document.paths ?? {})).toEqual(
    expect.arrayContaining([...paths, '/healthz', '/readyz', '/metrics', '/openapi.json', '/ws']),
  )
})

test('says 503 while PostgreSQL is gone, refuses sends, and heals by itself', async () => {
  const openApi = await OpenApi.of(service)
  const client = await SocketClient.connect(service, 'patient')
  // A connection that is still being caught up is closed when the store goes.
  await client.next('synced')
  expect((await get(service, '/readyz')).body).toEqual({ status: 'ready' })
  await postgres.kill()

  const unready = await get(service, '/readyz')
  expect([unready.status, unready.headers.get('retry-after')]).toEqual([503, '1'])
  expect(unready.body).toEqual({ status: 'unready', reasons: [expect.stringMatching(/^database: /)] })
  expect((await get(service, '/healthz')).status).toBe(200)

  const startedMs = performance.now()
  const overSocket = client.ask({ type: 'send', receiver_id: 'b', content: 'x' })
  const refused = await post(service, { receiver_id: 'b', content: 'x' })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  expect(refused.body).toMatchObject({ error: { code: 'unavailable' } })
  openApi.check('POST', '/api/send_message', refused)
  expect(await overSocket).toMatchObject({ type: 'error', code: 'unavailable', retry_after_ms: expect.any(Number) })
  // That nobody waits longer than two seconds is shown by the writer's own test, on a clock that only the test moves.
  figure(`refused after ${(performance.now() - startedMs).toFixed(0)} ms`)
  const unread = await get(service, '/api/messages?user_id=a&with=b')
  expect([unread.status, unread.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await client.ask({ type: 'history', with: 'b' })).toMatchObject({ type: 'error', code: 'unavailable' })

  await postgres.startAgain()
  // For a second after a commit that failed nothing else is tried to find out.
  let ready = await get(service, '/readyz')
  while (ready.status !== 200) ready = await get(service, '/readyz')
  expect(ready.body).toEqual({ status: 'ready' })
  expect((await post(service, { receiver_id: 'healed', content: 'x' })).body).toMatchObject({ seq: 1 })
  expect(await client.ask({ type: 'send', receiver_id: 'b', content: 'y' })).toMatchObject({ type: 'sent', seq: 1 })
  await client.close()
})
