// A command beside the service, on the same data directory.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { reachEmbeddedPostgres, startEmbeddedPostgres } from '../../../src/embedded-postgres/embedded-postgres.ts'
import { execute, placeCluster } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let dataDir: string
const START = "select pg_postmaster_start_time()::text as start, current_setting('fsync') as fsync"

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  await placeCluster(dataDir)
})
afterAll(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }))

const options = () => ({ dataDir, logger: silentLogger, settings: { shared_buffers: '16MB' } })

test('makes none where there is none', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  onTestFinished(() => rm(empty, { recursive: true }))
  const reached = reachEmbeddedPostgres({ ...options(), dataDir: empty })
  await expect(reached).rejects.toThrow(`${empty} holds no PostgreSQL of this service`)
  expect(await readdir(empty)).toEqual([])
})

test('makes one where it may, and says so', async () => {
  const fresh = join(dataDir, 'fresh')
  const told: object[] = []
  const logger = { ...silentLogger, warn: (fields: object) => told.push(fields) }
  const reached = await reachEmbeddedPostgres({ ...options(), dataDir: fresh, logger, mayBegin: true })
  expect(await rowsOf(reached.dsn, 'select 1')).toHaveLength(1)
  await reached.stop()
  expect(told).toEqual([{ data_dir: fresh }])
  await rm(fresh, { recursive: true })
})

test('uses the server of a service that runs, and leaves it running', async () => {
  const service = await startEmbeddedPostgres(options())
  onTestFinished(() => service.stop())
  const reached = await reachEmbeddedPostgres(options())
  expect(await rowsOf(reached.dsn, START)).toEqual(await rowsOf(service.dsn, START))
  await reached.stop()
  expect(await rowsOf(service.dsn, 'select 1')).toHaveLength(1)
})

test('starts one when no service runs, on the same data, and lets no service start meanwhile', async () => {
  const service = await startEmbeddedPostgres(options())
  await execute(service.dsn, 'drop table if exists kept; create table kept as select 42 as answer')
  await service.stop()
  const reached = await reachEmbeddedPostgres(options())
  expect(await rowsOf(reached.dsn, 'select answer from kept')).toEqual([{ answer: 42 }])
  await expect(startEmbeddedPostgres(options())).rejects.toThrow('is in use by another running service')
  await reached.stop()
  const next = await startEmbeddedPostgres(options())
  await next.stop()
})

test('two commands at once share the server that one of them started, as long as it lasts', async () => {
  const first = await reachEmbeddedPostgres(options())
  const second = await reachEmbeddedPostgres(options())
  expect(await rowsOf(second.dsn, START)).toEqual(await rowsOf(first.dsn, START))
  await second.stop()
  expect(await rowsOf(first.dsn, 'select 1')).toHaveLength(1)
  await first.stop()
})
