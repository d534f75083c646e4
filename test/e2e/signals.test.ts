// Signals, as terminals, npm and service managers send them: more than one, to more than one process, by mistake.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { within } from '../support/deadline.ts'
import { freePort } from '../support/free-port.ts'
import { get } from '../support/rest-client.ts'
import { type Environment, type Target, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { openTransaction } from '../support/transactions.ts'

const services = useServices('patient')
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

/** Commands like `npm start` that run the service below them, in a process group of their own. */
async function runBelow(command: string, args: readonly string[], more: Environment = {}) {
  const target = { port: await freePort() }
  const { PATH = '', HOME = '' } = process.env
  const env = {
    PATH,
    HOME,
    POSTGRES_DSN: database.dsn,
    PORT: String(target.port),
    DRAIN_RECONNECT_SPREAD_MS: '0',
    ...more,
  }
  const cwd = dirname(await services.ownFiles())
  const child = spawn(command, args, { cwd, env, detached: true, stdio: 'ignore' })
  onTestFinished(() => signalGroup(child, 'SIGKILL'))
  await eventually(() => isReady(target), 'readiness', 90_000)
  return { child, target }
}

/** Neither builds nor does anything else that belongs to `npm start`. */
const npmStart = () => runBelow('npm', ['start', '--ignore-scripts'])

const isReady = (target: Target): Promise<boolean> =>
  get(target, '/readyz').then(
    ({ status }) => status === 200,
    () => false,
  )

function signalGroup({ pid = 0 }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // All of them have ended.
  }
}

/** A socket whose send the service cannot store before `release`. */
async function withQueuedSend(target: Target) {
  const client = await SocketClient.connect(target, 'queued')
  await client.ask({ type: 'send', receiver_id: 'x', content: 'makes the conversation' })
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const sent = client.ask({ type: 'send', receiver_id: 'x', content: 'queued' })
  sent.catch(() => undefined) // the test looks at it later
  await client.settled()
  return { client, sent, release: () => transaction.end() }
}

type Queued = Awaited<ReturnType<typeof withQueuedSend>>

/** What was queued is stored, and everybody is told to come back. */
async function expectDrained({ client, sent, release }: Queued): Promise<void> {
  await client.next('draining')
  await release()
  expect(await sent).toMatchObject({ type: 'sent' })
  expect(await within(client.closed, () => 'the close')).toMatchObject({ code: 1012 })
}

const isGone = (target: Target): Promise<boolean> =>
  get(target, '/healthz').then(
    () => false,
    () => true,
  )

test('Ctrl-C twice by mistake drains once', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, DRAIN_RECONNECT_SPREAD_MS: '0' })
  const queued = await withQueuedSend(service)
  service.signal('SIGINT')
  await service.logged(({ msg }) => msg === 'draining')
  service.signal('SIGINT')
  service.signal('SIGTERM')
  await expectDrained(queued)
  expect(await service.exited).toEqual({ code: 0, signal: null })
  expect(service.logs.filter(({ msg }) => msg === 'draining' || msg === 'stopped')).toHaveLength(2)
})

test('SIGQUIT drains', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  expect(await service.stop('SIGQUIT')).toEqual({ code: 0, signal: null })
})

test.each(['SIGUSR1', 'SIGUSR2'] as const)('%s changes nothing', async (signal) => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  service.signal(signal)
  await service.logged((line) => line.signal === signal)
  expect((await get(service, '/healthz')).status).toBe(200)
  expect((await service.stop()).code).toBe(0)
  // Node would say here that its debugger listens.
  expect(service.stderr).toBe('')
})

test('SIGHUP without a terminal ends nothing', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  service.signal('SIGHUP')
  await service.logged(({ msg }) => msg === 'there is no certificate to read again: TLS is off')
  expect((await get(service, '/healthz')).status).toBe(200)
  expect((await service.stop()).code).toBe(0)
})

// util-linux; on macOS it takes other arguments.
test.skipIf(process.platform !== 'linux')('the end of its terminal drains the service', async () => {
  const { child, target } = await runBelow('script', ['-qec', `exec ${process.execPath} dist/main.js`, '/dev/null'])
  const queued = await withQueuedSend(target)
  child.kill('SIGKILL')
  await expectDrained(queued)
  await eventually(() => isGone(target), 'the end of the service')
})

const ENDS: Readonly<Record<string, (npm: ChildProcess) => void>> = {
  'SIGTERM to npm': (npm) => void npm.kill('SIGTERM'),
  'SIGTERM to the process group': (npm) => signalGroup(npm, 'SIGTERM'),
  'Ctrl-C twice': (npm) => {
    signalGroup(npm, 'SIGINT')
    signalGroup(npm, 'SIGINT')
  },
}

test.each(Object.entries(ENDS))('npm start is ended by %s when the service has drained', async (_what, end) => {
  const { child, target } = await npmStart()
  const queued = await withQueuedSend(target)
  const ended = once(child, 'exit')
  end(child)
  await expectDrained(queued)
  expect(await within(ended, () => 'the end of npm')).toEqual([0, null])
  expect(await isGone(target)).toBe(true)
})

test.each(['SIGKILL', 'SIGHUP'] as const)('the service drains when npm start is ended by %s', async (signal) => {
  const { child, target } = await npmStart()
  const queued = await withQueuedSend(target)
  child.kill(signal)
  await expectDrained(queued)
  await eventually(() => isGone(target), 'the end of the service')
})
