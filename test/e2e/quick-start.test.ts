// The original quick start, word for word: what a newcomer types must work on a machine with nothing but Node.
import { expect, test } from 'vitest'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { rawRequest } from '../support/raw-http.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const services = useServices()
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/** What `curl -X POST -H "Content-Type: application/json" -d '{"receiver_id": "2", "content": "Hello"}'` writes. */
function curlRequest(port: number): string {
  const body = '{"receiver_id": "2", "content": "Hello"}'
  return [
    'POST /api/send_message HTTP/1.1',
    `Host: localhost:${port}`,
    'User-Agent: curl/8.14.1',
    'Accept: */*',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
}

/** websocat offers no subprotocol and sends what is typed as one text frame per line. */
const websocat = (service: ServiceProcess, user: string) => SocketClient.connect(service, user, { protocol: null })

async function walkThrough(service: ServiceProcess): Promise<void> {
  const curl = await rawRequest(service, curlRequest(service.port))
  expect(curl?.status).toBe(201)
  expect(JSON.parse(curl?.body ?? '')).toMatchObject({
    seq: 1,
    sender_id: 'anonymous',
    receiver_id: '2',
    content: 'Hello',
    duplicate: false,
  })

  const a = await websocat(service, 'a')
  const b = await websocat(service, 'b')
  await b.next('synced')
  expect((await get(service, '/api/online_users')).body).toEqual({
    online_users: ['a', 'b'],
    count: 2,
    next_cursor: null,
  })

  a.sendRaw('{"receiver_id":"b","content":"hi"}\n')
  expect(await a.next('sent')).toMatchObject({ seq: 1, with: 'b', duplicate: false })
  expect(await b.next('message')).toMatchObject({ seq: 1, sender_id: 'a', receiver_id: 'b', content: 'hi' })
  b.sendRaw('{"receiver_id":"a","content":"hi yourself"}\n')
  expect(await b.next('sent')).toMatchObject({ seq: 2, with: 'a' })
  expect(await a.next('message')).toMatchObject({ seq: 2, sender_id: 'b', content: 'hi yourself' })

  await expectHistory(service)
  await a.close()
  await b.close()
}

async function expectHistory(service: ServiceProcess): Promise<void> {
  const { status, body } = await get(service, '/api/messages?user_id=a&with=b')
  expect(status).toBe(200)
  expect(body).toMatchObject({
    messages: [
      { seq: 1, sender_id: 'a', receiver_id: 'b', content: 'hi' },
      { seq: 2, sender_id: 'b', receiver_id: 'a', content: 'hi yourself' },
    ],
    has_more: false,
  })
}

test('works on the default start, and the history is there after stop and start', async () => {
  const env = { DATA_DIR: await services.dataDir() }
  const first = await services.start(env)
  await walkThrough(first)
  expect(await first.stop()).toEqual({ code: 0, signal: null })
  const second = await services.start(env)
  await expectHistory(second)
  const anonymous = await get(second, '/api/messages?with=2')
  expect(anonymous.body).toMatchObject({ messages: [{ seq: 1, content: 'Hello' }] })
  expect((await get(second, '/api/online_users')).body).toMatchObject({ online_users: [], count: 0 })
  expect(await second.stop()).toEqual({ code: 0, signal: null })
})

test('works with POSTGRES_DSN and sslmode=disable on an ordinary PostgreSQL', async () => {
  const postgres = await ExternalPostgres.start()
  try {
    const service = await services.start({ POSTGRES_DSN: postgres.dsn })
    await walkThrough(service)
    expect(postgres.greetings.length).toBeGreaterThan(0)
    expect(postgres.greetings.filter((bytes) => bytes.subarray(0, 8).equals(SSL_REQUEST))).toEqual([])
    expect((await service.stop()).code).toBe(0)

    // This PostgreSQL has no TLS: a mode that demands it must not fall back to plain text.
    const demanding = services.launch({ POSTGRES_DSN: postgres.dsn.replace('sslmode=disable', 'sslmode=require') })
    expect(await demanding.exited).toEqual({ code: 1, signal: null })
    expect(postgres.greetings.at(-1)?.subarray(0, 8)).toEqual(SSL_REQUEST)
    expect(JSON.stringify(demanding.logs)).not.toContain('pass@')
  } finally {
    await postgres.remove()
  }
})
