import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { locateNativeDir } from '../../../src/embedded-postgres/binaries.ts'
import { describeProcess } from '../../../src/embedded-postgres/process-state.ts'
import {
  type EmbeddedPostgresOptions,
  type PostgresServer,
  startPostgresServer,
} from '../../../src/embedded-postgres/server.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { compiledUrl } from '../../support/compiled.ts'
import { execute } from '../../support/databases.ts'
import { canLock, holdLock } from '../../support/held-lock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

interface Service {
  readonly child: ChildProcess
  readonly dsn: string
  readonly pid: number
}

const ownerScript = fileURLToPath(new URL('../../support/embedded-owner.mjs', import.meta.url))
let sharedDir: string
let directory: string
let dataDir: string

beforeAll(async () => {
  sharedDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
})

afterAll(async () => {
  await rm(sharedDir, { recursive: true, force: true, maxRetries: 5 })
})

// Making a cluster takes most of a second: each test leaves it stopped for the next, unless it is about making one.
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  dataDir = sharedDir
})

afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))

const start = (options: Partial<EmbeddedPostgresOptions> = {}): Promise<PostgresServer> =>
  startPostgresServer({ dataDir, logger: silentLogger, settings: { shared_buffers: '16MB' }, ...options })

/** Starts PostgreSQL in a process of its own. */
async function startService(): Promise<Service> {
  const arguments_ = [ownerScript, compiledUrl('embedded-postgres/server.js'), dataDir]
  const child = spawn(process.execPath, arguments_, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, ...JSON.parse(line) }
}

async function killService({ child }: Service): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function ended(pid: number): Promise<void> {
  while (await describeProcess(pid)) await delay(10)
}

async function query(dsn: string, text: string): Promise<unknown[]> {
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  try {
    const { rows } = await client.query({ text, rowMode: 'array' })
    return rows.flat()
  } finally {
    await client.end()
  }
}

const socketDirOf = (dsn: string): string => new URL(dsn).searchParams.get('host') ?? ''

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

test('keeps its data from one start to the next', async () => {
  const first = await start()
  await execute(first.dsn, "drop table if exists kept; create table kept as select 'ünïcödé' as text")
  await first.stop()
  expect(await first.exited).toEqual({ code: 0, signal: null })
  expect(await exists(socketDirOf(first.dsn))).toBe(false)
  const second = await start()
  expect(await query(second.dsn, 'select text from kept')).toEqual(['ünïcödé'])
  await second.stop()
})

test('is durable, UTF-8, and reachable by nothing but a socket in a directory of its own', async () => {
  const server = await start()
  const settings = 'fsync,synchronous_commit,full_page_writes,server_encoding,listen_addresses'.split(',')
  const values = await query(server.dsn, `select ${settings.map((name) => `current_setting('${name}')`).join(', ')}`)
  expect(values).toEqual(['on', 'on', 'on', 'UTF8', ''])
  expect((await stat(socketDirOf(server.dsn))).mode & 0o777).toBe(0o700)
  expect(await readFile(join(dataDir, 'postgres', 'pg_hba.conf'), 'utf8')).toMatch(
    /^host\s+all\s+all\s+127\.0\.0\.1\/32\s+reject$/m,
  )
  await server.stop()
})

test('lets settings be replaced, but never opens a port', async () => {
  const server = await start({ settings: { shared_buffers: '16MB', work_mem: '5MB', listen_addresses: '*' } })
  expect(await query(server.dsn, "select current_setting('work_mem'), current_setting('listen_addresses')")).toEqual([
    '5MB',
    '',
  ])
  await server.stop()
})

test('tells when it ends without being asked', async () => {
  const server = await start()
  process.kill(server.pid, 'SIGKILL')
  expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' })
  while (await exists(socketDirOf(server.dsn))) await delay(10)
  await server.stop()
})

test('never takes an interrupted initdb for a cluster', async () => {
  dataDir = join(directory, 'data')
  // What a service killed in the middle of initdb leaves: its process number and start time are long gone.
  const unfinished = join(dataDir, 'initdb-999999-1')
  await mkdir(unfinished, { recursive: true })
  await writeFile(join(unfinished, 'PG_VERSION'), '18\n')
  const server = await start()
  await server.stop()
  expect(await readdir(dataDir)).toEqual(['postgres'])
})

test.runIf(canLock)('leaves alone what another one is making, also out of sight, as in another container', async () => {
  dataDir = join(directory, 'data')
  const theirs = join(dataDir, 'initdb-999999-1-1-a')
  await mkdir(theirs, { recursive: true })
  await holdLock(theirs)
  const server = await start()
  await server.stop()
  expect((await readdir(dataDir)).sort()).toEqual(['initdb-999999-1-1-a', 'postgres'])
})

test('refuses a directory that is in the way, and leaves it alone', async () => {
  dataDir = join(directory, 'data')
  await mkdir(join(dataDir, 'postgres'), { recursive: true })
  await writeFile(join(dataDir, 'postgres', 'letter.txt'), 'mine')
  await expect(start()).rejects.toThrow('is no PostgreSQL cluster')
  expect(await readdir(dataDir)).toEqual(['postgres'])
  expect(await readdir(join(dataDir, 'postgres'))).toEqual(['letter.txt'])
})

test('refuses a cluster of another major version', async () => {
  dataDir = join(directory, 'data')
  await mkdir(join(dataDir, 'postgres'), { recursive: true })
  await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '15\n')
  await expect(start()).rejects.toThrow('was made by PostgreSQL 15')
})

test('starts over a lock file whose number now belongs to another process of the same user', async () => {
  const first = await start()
  await first.stop()
  const owner = await stat(join(dataDir, 'postgres'))
  const bystander = spawn('/bin/sleep', ['60'], { uid: owner.uid, gid: owner.gid })
  const lines = [
    bystander.pid,
    join(dataDir, 'postgres'),
    1_700_000_000,
    5432,
    '/nowhere',
    '',
    '  1234567  7654321',
    'ready',
  ]
  await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), `${lines.join('\n')}\n`)
  const second = await start()
  expect(bystander.exitCode).toBe(null)
  bystander.kill()
  await second.stop()
})

test('refuses a directory that a running service uses', async () => {
  const server = await start()
  await expect(start()).rejects.toThrow(/in use by another running service \(process \d+\)/)
  expect(await query(server.dsn, 'select 1')).toEqual([1])
  await server.stop()
})

test.runIf(canLock)('never runs beside a server that it cannot see, as in another container', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const server = await start()
  await rm(join(dataDir, 'postgres', 'postmaster.pid'))
  const clock = setInterval(() => vi.advanceTimersByTime(1_000), 10)
  await expect(start()).rejects.toThrow('the directory is locked by another server')
  clearInterval(clock)
  expect(await query(server.dsn, 'select 1')).toEqual([1])
  await server.stop()
})

test.runIf(canLock)('starts when the last process of the server before lets go of the directory', async () => {
  await (await start()).stop()
  const letGo = await holdLock(join(dataDir, 'postgres'))
  // The first attempt has met the lock.
  const warn = vi.fn(letGo)
  const server = await start({ logger: { ...silentLogger, warn } })
  onTestFinished(() => server.stop())
  expect(warn).toHaveBeenCalled()
  expect(await query(server.dsn, 'select 1')).toEqual([1])
})

test('of two services started together on a new directory exactly one gets it', async () => {
  dataDir = join(directory, 'data')
  const outcomes = await Promise.allSettled([raceService(), raceService()])
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') await outcome.value()
})

/** Resolves with what ends the service, rejects when it could not start. */
async function raceService(): Promise<() => Promise<void>> {
  const arguments_ = [ownerScript, compiledUrl('embedded-postgres/server.js'), dataDir]
  const child = spawn(process.execPath, arguments_, { stdio: ['ignore', 'pipe', 'ignore'] })
  const failed = once(child, 'exit').then(() => Promise.reject(new Error('did not start')))
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed])
  failed.catch(() => undefined)
  const { pid } = JSON.parse(line)
  return async () => {
    child.kill('SIGKILL')
    await ended(pid)
  }
}

test('dies with its service, even one killed by SIGKILL, and leaves nothing behind', async () => {
  const service = await startService()
  await killService(service)
  await ended(service.pid)
  while (await exists(socketDirOf(service.dsn))) await delay(10)
})

test('starts at once after its service was killed, with everything committed before', async () => {
  const service = await startService()
  await execute(service.dsn, 'drop table if exists kept; create table kept as select 42 as answer')
  await killService(service)
  const server = await start()
  expect(await query(server.dsn, 'select answer from kept')).toEqual([42])
  await server.stop()
})

test('stops what a service left that was killed together with its watchdog', async () => {
  const service = await startService()
  await execute(service.dsn, 'drop table if exists kept; create table kept as select 42 as answer')
  process.kill(await watchdogOf(service), 'SIGKILL')
  await killService(service)
  expect(await describeProcess(service.pid)).toBeDefined()
  const server = await start()
  expect(await describeProcess(service.pid)).toBeUndefined()
  expect(await exists(socketDirOf(service.dsn))).toBe(false)
  expect(await query(server.dsn, 'select answer from kept')).toEqual([42])
  await server.stop()
})

test('starts after everything was killed at once, with everything committed before', async () => {
  const service = await startService()
  await execute(service.dsn, 'drop table if exists kept; create table kept as select 42 as answer')
  process.kill(await watchdogOf(service), 'SIGKILL')
  process.kill(service.pid, 'SIGKILL')
  await killService(service)
  const server = await start()
  expect(await query(server.dsn, 'select answer from kept')).toEqual([42])
  await server.stop()
})

async function watchdogOf(service: Service): Promise<number> {
  for (const pid of await allProcesses()) {
    if ((await describeProcess(pid))?.command.includes(` postgres-watchdog ${service.pid} `)) return pid
  }
  throw new Error('the watchdog is not running')
}

// Slim container images have no ps.
async function allProcesses(): Promise<number[]> {
  const names =
    process.platform === 'linux'
      ? await readdir('/proc')
      : execFileSync('ps', ['-A', '-o', 'pid=']).toString().split('\n')
  return names.map(Number).filter((pid) => pid > 0)
}

test('restores the links that a skipped install script did not make', async () => {
  const packageDir = join(directory, 'package')
  const nativeDir = await copyWithoutLinks(packageDir)
  const first = await start({ nativeDir })
  expect(await query(first.dsn, 'select 1')).toEqual([1])
  await first.stop()
  expect((await stat(join(nativeDir, 'lib', 'libpq.so.5'))).isFile()).toBe(true)

  await makeUnusable(packageDir)
  const second = await start({ nativeDir })
  expect(await query(second.dsn, 'select 1'), 'where it has to run from a private copy').toEqual([1])
  await second.stop()
  expect(await exists(socketDirOf(second.dsn))).toBe(false)
  await chmod(join(nativeDir, 'lib'), 0o755)
})

test('keeps its data in a directory whose parent only the user of the service may enter', async () => {
  const closed = join(directory, 'closed')
  await mkdir(closed, { mode: 0o700 })
  dataDir = join(closed, 'data')
  const server = await start()
  expect(await query(server.dsn, 'select 1')).toEqual([1])
  await server.stop()
})

test('gives up a server that hangs as it starts, and says so', async () => {
  await (await start()).stop()
  const nativeDir = join(directory, 'package', 'native')
  await mkdir(join(nativeDir, 'bin'), { recursive: true })
  await writeFile(join(nativeDir, 'pg-symlinks.json'), '[]')
  const program = '#!/bin/sh\n[ "$1" = --version ] && exec echo "postgres (PostgreSQL) 18.4"\nexec sleep 600\n'
  await writeFile(join(nativeDir, 'bin', 'postgres'), program, { mode: 0o755 })
  await chmod(directory, 0o755)
  await expect(start({ nativeDir, silenceLimitMs: 100 })).rejects.toThrow('neither started nor ended')
  const server = await start()
  expect(await query(server.dsn, 'select 1')).toEqual([1])
  await server.stop()
})

test('says what to do when the programs cannot run', async () => {
  dataDir = join(directory, 'data')
  const nativeDir = join(directory, 'package', 'native')
  await mkdir(nativeDir, { recursive: true })
  await writeFile(join(nativeDir, 'pg-symlinks.json'), '[]')
  await expect(start({ nativeDir })).rejects.toThrow('Set POSTGRES_DSN')
})

async function copyWithoutLinks(packageDir: string): Promise<string> {
  const nativeDir = join(packageDir, 'native')
  const skipped = /\/include$|\.a$|libecpg/
  await cp(locateNativeDir(), nativeDir, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !skipped.test(path),
  })
  await removeLinks(nativeDir)
  return nativeDir
}

async function removeLinks(nativeDir: string): Promise<void> {
  for (const entry of await readdir(join(nativeDir, 'lib'), { withFileTypes: true })) {
    if (entry.isSymbolicLink()) await rm(join(nativeDir, 'lib', entry.name))
  }
}

/** For root: below a directory that PostgreSQL's account may not enter. For others: read-only, and without its links. */
async function makeUnusable(packageDir: string): Promise<void> {
  await removeLinks(join(packageDir, 'native'))
  await chmod(join(packageDir, 'native', 'lib'), 0o555)
  await chmod(packageDir, 0o700)
}
