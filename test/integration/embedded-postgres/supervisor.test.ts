import { mkdir, mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startEmbeddedPostgres } from '../../../src/embedded-postgres/embedded-postgres.ts'
import { placeCluster } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

const settings = { shared_buffers: '16MB' }

/** A data directory, by this name in a directory of its own. */
async function makeDataDir(name = 'data'): Promise<string> {
  const path = join(await makeDirectory(), name)
  await mkdir(path)
  await placeCluster(path)
  return path
}

async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  return directory
}

async function signalServer(dataDir: string, signal: NodeJS.Signals): Promise<void> {
  const pid = Number.parseInt(await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10)
  process.kill(pid, signal)
}

const answers = (dsn: string): Promise<boolean> => rowsOf(dsn, 'select 1').then(Boolean, () => false)

test('starts again at once, then after a pause as long as starts do not help, then at once again', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const dataDir = await makeDataDir()
  const ends: object[] = []
  const logger = { ...silentLogger, error: (fields: object) => void ends.push(fields) }
  const supervised = await startEmbeddedPostgres({ dataDir, logger, settings })
  onTestFinished(() => supervised.stop())
  /** Resolves when another server takes connections. */
  const kill = async (): Promise<void> => {
    await signalServer(dataDir, 'SIGKILL')
    await vi.waitUntil(() => answers(supervised.dsn), { timeout: 90_000 })
  }
  await kill()
  await kill()
  vi.advanceTimersByTime(60_000)
  await kill()
  const delays = ends.map((fields) => ('delay_ms' in fields ? fields.delay_ms : undefined))
  expect(delays).toEqual([0, expect.any(Number), 0])
  expect(delays[1]).toBeGreaterThan(0)
})

test('starts again when the socket of a new server could not be linked at first', async () => {
  const dataDir = await makeDataDir()
  const error = vi.fn()
  const supervised = await startEmbeddedPostgres({ dataDir, logger: { ...silentLogger, error }, settings })
  onTestFinished(() => supervised.stop())
  const inTheWay = join(dataDir, 'postgres.socket.new')
  await mkdir(inTheWay)
  await signalServer(dataDir, 'SIGQUIT')
  await expect.poll(() => error.mock.lastCall?.[1], { timeout: 90_000 }).toBe('our PostgreSQL does not start')
  await rmdir(inTheWay)
  await expect.poll(() => answers(supervised.dsn), { timeout: 90_000 }).toBe(true)
})

test.each([
  ['a comma', 'one,two'],
  ['too many letters for a socket', 'x'.repeat(110)],
])('is reached also when the path of the data directory holds %s', async (_, name) => {
  const dataDir = await makeDataDir(name)
  const supervised = await startEmbeddedPostgres({ dataDir, logger: silentLogger, settings })
  onTestFinished(() => supervised.stop())
  expect(await rowsOf(supervised.dsn, 'select 1')).toHaveLength(1)
})

test('leaves no directory behind that was made to hold the link', async () => {
  const dataDir = await makeDataDir('one,two')
  const temporary = join(dataDir, '..', 'tmp')
  await mkdir(temporary)
  vi.stubEnv('TMPDIR', temporary)
  onTestFinished(() => void vi.unstubAllEnvs())
  const supervised = await startEmbeddedPostgres({
    dataDir,
    logger: silentLogger,
    settings,
  })
  expect(await readdir(temporary)).toContainEqual(expect.stringMatching(/^messaging-db-/))
  await supervised.stop()
  expect(await readdir(temporary)).toEqual([])
})
