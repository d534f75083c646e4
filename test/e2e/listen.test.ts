// Starting: the port, TLS, settings that must stop the start, and instances that start together.
import { readdirSync, readFileSync } from 'node:fs'
import { get as httpsGet } from 'node:https'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createDatabase, createEmptyDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { within } from '../support/deadline.ts'
import { freePort } from '../support/free-port.ts'
import { get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { rowsOf } from '../support/transactions.ts'

const services = useServices()
const fixture = (name: string): string => fileURLToPath(new URL(`../support/fixtures/${name}`, import.meta.url))
const TLS = { TLS_CERT_FILE: fixture('tls-cert.pem'), TLS_KEY_FILE: fixture('tls-key.pem') }
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

/** Exit code and everything that was said by a service that must not start. */
async function failedStart(env: Readonly<Record<string, string>>): Promise<{ code: number | null; text: string }> {
  const service: ServiceProcess = services.launch({ POSTGRES_DSN: database.dsn, ...env })
  const { code } = await within(service.exited, () => 'the end of a service that must not start')
  expect(service.logs.filter(({ msg }) => msg === 'listening')).toEqual([])
  return { code, text: `${service.stderr}${JSON.stringify(service.logs)}` }
}

test('a second server on the same port fails loudly, and the first goes on', async () => {
  // Only a port that is named could be shared by mistake: uSockets never shares one that the system chose.
  const PORT = String(await freePort())
  const first = await services.start({ POSTGRES_DSN: database.dsn, PORT })
  const { code, text } = await failedStart({ PORT })
  expect(code).toBe(1)
  expect(text).toContain(`127.0.0.1:${PORT}`)
  // A port shared between both would let some of these go astray.
  for (let turn = 0; turn < 20; turn += 1) expect((await get(first, '/healthz')).status).toBe(200)
  await first.stop()
})

test('speaks TLS when it has a certificate, and nothing else then', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, ...TLS })
  expect(service.logs.find(({ msg }) => msg === 'listening')).toMatchObject({ tls: true })
  const ca = readFileSync(TLS.TLS_CERT_FILE, 'utf8')
  const status = await new Promise((resolve, reject) => {
    const url = `https://localhost:${service.port}/healthz`
    httpsGet(url, { ca, agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject)
  })
  expect(status).toBe(200)
  const client = await SocketClient.connect(service, 'a', { scheme: 'wss', ca })
  expect(await client.ask({ type: 'send', receiver_id: 'b', content: 'secret' })).toMatchObject({ type: 'sent' })
  await expect(get(service, '/healthz')).rejects.toThrow()
  const closed = client.closed
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect((await closed).code).toBe(1012)
})

test('a certificate that is none stops the start', async () => {
  const { code, text } = await failedStart({ ...TLS, TLS_CERT_FILE: fileURLToPath(import.meta.url) })
  expect(code).toBe(1)
  expect(text).toContain('TLS_CERT_FILE')
})

test('a HOST that others can reach needs AUTH to be said', async () => {
  const { code, text } = await failedStart({ HOST: '0.0.0.0' })
  expect(code).toBe(78)
  expect(text).toMatch(/^ {2}AUTH: .*HOST is 0\.0\.0\.0/m)
  const service = await services.start({ HOST: '0.0.0.0', AUTH: 'none', POSTGRES_DSN: database.dsn })
  expect((await get(service, '/healthz')).status).toBe(200)
  await service.stop()
})

test('all wrong settings are named at once', async () => {
  const { code, text } = await failedStart({ PORT: 'http', LOG_LEVEL: 'loud', TLS_KEY_FILE: TLS.TLS_KEY_FILE })
  expect(code).toBe(78)
  for (const name of ['PORT', 'LOG_LEVEL', 'TLS_CERT_FILE']) expect(text).toMatch(new RegExp(`^ {2}${name}: `, 'm'))
})

test('a database that cannot be reached or used stops the start, without showing the password', async () => {
  const nowhere = await failedStart({ POSTGRES_DSN: 'postgres://me:geheim@127.0.0.1:1/chat_app?sslmode=disable' })
  expect(nowhere.code).toBe(1)
  expect(nowhere.text).toContain('ECONNREFUSED')
  expect(nowhere.text).not.toContain('geheim')
  const lax = new URL(database.dsn)
  lax.searchParams.set('options', '-c synchronous_commit=off')
  const unsafe = await failedStart({ POSTGRES_DSN: lax.href })
  expect(unsafe.code).toBe(1)
  expect(unsafe.text).toContain('synchronous_commit')
})

test('two instances that start together on an empty database both succeed and share it', async () => {
  const empty = await createEmptyDatabase()
  const env = { POSTGRES_DSN: empty.dsn }
  const [one, two] = await Promise.all([services.start(env), services.start(env)])
  const message = { sender_id: 'a', receiver_id: 'b', content: 'shared', id: crypto.randomUUID() }
  const answers = await Promise.all([one, two, one, two].map((service) => post(service, message)))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 201])
  for (const service of [one, two]) {
    const { body } = await get(service, '/api/messages?user_id=b&with=a')
    expect(body).toMatchObject({ messages: [{ id: message.id, seq: 1 }] })
    expect((await service.stop()).code).toBe(0)
  }
  await empty.drop()
})

test.each([
  ['one process', {}],
  ['several', { WORKERS: '2', REDIS_ADDR: '127.0.0.1:1' }],
])('a machine without a binary is told so by %s, and no database is made on it', async (_, env) => {
  // As on a Linux whose C library is too old for the binary of this Node.
  const preload = `import module from 'node:module'
    const load = module._load
    module._load = function (name, ...more) {
      if (name === 'uWebSockets.js') throw new Error('version GLIBC_2.38 not found')
      return load.call(this, name, ...more)
    }`
  const dataDir = await services.dataDir()
  const service = services.launch({
    ...env,
    PORT: String(await freePort()),
    DATA_DIR: dataDir,
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(preload)}`,
  })
  expect((await within(service.exited, () => 'the end of a service without a binary')).code).toBe(1)
  const told = service.logs.map((line) => JSON.stringify(line)).join('\n')
  expect(told).toContain('uWebSockets.js has no binary for')
  expect(told).toContain('GLIBC_2.38')
  expect(readdirSync(dataDir)).toEqual([])
})

test('beside the tables of another program it serves from a schema of its own', async () => {
  const shared = await createEmptyDatabase()
  onTestFinished(() => shared.drop())
  await execute(shared.dsn, 'create table users (id int primary key); create table schema_migrations (version varchar)')
  expect((await failedStart({ POSTGRES_DSN: shared.dsn })).text).toContain("schema_migrations is another program's")
  const service = await services.start({ POSTGRES_DSN: shared.dsn, POSTGRES_SCHEMA: 'chat' })
  expect((await post(service, { sender_id: 'a', receiver_id: 'b', content: 'x' })).status).toBe(201)
  const read = await get(service, '/api/messages?user_id=b&with=a')
  expect(read.body).toMatchObject({ messages: [{ content: 'x', seq: 1 }] })
  expect((await get(service, '/readyz')).status).toBe(200)
  expect((await service.stop()).code).toBe(0)
  expect(
    await rowsOf(
      shared.dsn,
      'select (select count(*)::int from users) as a, (select count(*)::int from chat.messages) as b',
    ),
  ).toEqual([{ a: 0, b: 1 }])
})
