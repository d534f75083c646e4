// The log may be a full disk, a pipe that nobody reads or one whose reader has gone: the service must not notice.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { compiledUrl } from '../support/compiled.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { within } from '../support/deadline.ts'
import { freePort } from '../support/free-port.ts'
import { fullPipe } from '../support/full-pipe.ts'
import { RawHttp } from '../support/raw-http.ts'
import { call, get, post } from '../support/rest-client.ts'
import { type Environment, type Target, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

type Output = 'pipe' | number

const services = useServices()
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

/** Nobody reads the outputs, unless the test does. */
function launch(env: Environment, stdout: Output, stderr: Output = stdout): ChildProcess {
  const main = fileURLToPath(compiledUrl('main.js'))
  const child = spawn(process.execPath, [main], { env: { ...env }, stdio: ['ignore', stdout, stderr] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

async function answers(target: Target): Promise<void> {
  await eventually(
    () =>
      get(target, '/readyz').then(
        ({ status }) => status === 200,
        () => false,
      ),
    'readiness',
    90_000,
  )
  expect((await post(target, { receiver_id: 'b', content: 'not logged' })).status).toBe(201)
  const client = await SocketClient.connect(target, 'a')
  expect(await client.ask({ type: 'send', receiver_id: 'b', content: 'nor this' })).toMatchObject({ type: 'sent' })
  await client.close()
}

async function droppedLines(target: Target): Promise<number> {
  const { text } = await get(target, '/metrics')
  return Number(/^messaging_log_lines_dropped_total (\d+)$/m.exec(text)?.[1])
}

async function endOf(child: ChildProcess): Promise<unknown> {
  const [code] = await within(once(child, 'exit'), () => 'the end of the process')
  return code
}

/** Each with a way to make sure that it does fail. */
const OUTPUTS: Readonly<Record<string, (child: ChildProcess) => void>> = {
  'is a full disk': () => undefined,
  'is a pipe that nobody reads': () => undefined,
  'is a pipe whose reader has gone': (child) => {
    child.stdout?.destroy()
    child.stderr?.destroy()
  },
}

test.each(Object.entries(OUTPUTS))('with a log that %s the service starts, serves and ends', async (what, spoil) => {
  const target = { port: await freePort() }
  const env = {
    POSTGRES_DSN: database.dsn,
    PORT: String(target.port),
    LOG_LEVEL: 'debug',
    DRAIN_RECONNECT_SPREAD_MS: '0',
  }
  const output = { 'is a full disk': () => openSync('/dev/full', 'w'), 'is a pipe that nobody reads': fullPipe }[what]
  const child = launch(env, output?.() ?? 'pipe')
  spoil(child)
  await answers(target)
  const client = await RawHttp.connect(target)
  // A line of the log each, together more than may wait. The binary for Node 20 closes a connection when a request line comes in
  // two TCP segments, so no more is written at once than one segment holds.
  for (let count = 0; count < 6000; count += 100) {
    client.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(100))
    for (let answers = 0; answers < 100; answers += 1) expect(await client.answer()).toMatchObject({ status: 200 })
  }
  await eventually(async () => (await droppedLines(target)) > 0, 'a line that is dropped')
  await answers(target)
  child.kill('SIGTERM')
  expect(await endOf(child)).toBe(0)
})

test('a log that is read late has lost nothing that there was room for', async () => {
  const target = { port: await freePort() }
  const child = launch({ POSTGRES_DSN: database.dsn, PORT: String(target.port), LOG_LEVEL: 'debug' }, 'pipe')
  await answers(target)
  // Together more than the pipe holds, and less than 1 MiB beyond.
  for (let turn = 0; turn < 10; turn += 1) {
    await Promise.all(Array.from({ length: 100 }, () => get(target, '/healthz')))
  }
  expect(await droppedLines(target)).toBe(0)
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await eventually(() => text.split('"route":"/healthz"').length - 1 === 1000, 'all lines')
  for (const line of text.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
})

test.each([
  ['a full disk', () => openSync('/dev/full', 'w')],
  ['a pipe that nobody reads', fullPipe],
])('a wrong configuration ends with its exit code although standard error is %s', async (_what, open) => {
  expect(await endOf(launch({ PORT: 'http' }, open()))).toBe(78)
})

test.each([
  ['a full disk', () => openSync('/dev/full', 'w')],
  ['a pipe that nobody reads', fullPipe],
])(
  'the link for the first administrator goes nowhere, and the service works, when standard error is %s',
  async (_what, open) => {
    const target = { port: await freePort() }
    const stdout = openSync('/dev/null', 'w')
    const child = launch({ AUTH: 'accounts', POSTGRES_DSN: database.dsn, PORT: String(target.port) }, stdout, open())
    const status = async (): Promise<unknown> => (await get(target, '/readyz')).status
    await eventually(async () => (await status()) === 200, 'readiness', 90_000)
    const { body } = await call(target, 'POST', '/api/auth/login', {
      body: { username: 'ann', password: 'wrong password' },
    })
    expect(body).toMatchObject({ error: { code: 'invalid_credentials' } })
    child.kill('SIGTERM')
    expect(await endOf(child)).toBe(0)
  },
)

test('a start that fails ends with its exit code although nobody reads why', async () => {
  const env = { POSTGRES_DSN: 'postgres://me@127.0.0.1:1/nowhere', PORT: '0' }
  expect(await endOf(launch(env, fullPipe()))).toBe(1)
})

test('every line names the instance, and at debug every request, without its query', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, LOG_LEVEL: 'debug' })
  await get(service, '/api/messages?user_id=ann&with=bob&token=canary')
  await get(service, '/nowhere/canary')
  await (await SocketClient.connect(service, 'canary')).close()
  const seen = () => service.logs.filter(({ msg }) => msg === 'request')
  await service.logged(() => seen().length === 3)
  expect(seen().map(({ method, route, status }) => `${method} ${route} ${status}`)).toEqual([
    'GET /api/messages 400',
    'GET * 404',
    'GET /ws 101',
  ])
  for (const { ms, request_id } of seen()) expect([ms, request_id]).toEqual([expect.any(Number), expect.any(String)])
  expect(JSON.stringify(service.logs)).not.toContain('canary')
  expect(new Set(service.logs.map(({ instance }) => instance)).size).toBe(1)
  expect(service.logs[0]?.instance).toMatch(/^[0-9a-f-]{36}$/)
  await service.stop()
})

test('LOG_FORMAT=pretty writes a line for people with the address to open', async () => {
  const target = { port: await freePort() }
  const env = { POSTGRES_DSN: database.dsn, PORT: String(target.port), LOG_FORMAT: 'pretty' }
  const child = launch(env, 'pipe')
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await eventually(() => text.includes('listening'), 'the line')
  expect(text).toMatch(new RegExp(`^\\[[\\d:.]+\\] INFO: listening url=http://localhost:${target.port}/$`, 'm'))
})
