// What a backup is made of, without a PostgreSQL; npm run deploy plays it with one.
import { appendFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import { lockState } from '../../../src/embedded-postgres/directory-lock.ts'
import { BackupWriter, layBackup, removeLaidBackup } from '../../../src/embedded-postgres/embedded-postgres.ts'
import { removeInterrupted, UnfinishedDirectory } from '../../../src/embedded-postgres/unfinished.ts'
import { segmentsBetween } from '../../../src/postgres/backup.ts'
import { storageTools } from '../../../src/storage-tools.ts'
import { canLock, holdLock } from '../../support/held-lock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let directory: string
let dataDir: string
const backup = () => join(directory, 'backup')
const ABOUT = { version: '1', postgres: '18.4', began_at: '2026-01-01T00:00:00.000Z' }
const FILES = {
  PG_VERSION: '18',
  'base/5/1234': 'rows',
  'pg_wal/000000010000000000000001': 'old',
  'pg_wal/000000010000000000000002': 'log',
  'pg_wal/00000002.history': 'history',
  'postmaster.pid': '1',
  'pg_replslot/one/state': 'a slot',
  'base/5/pgsql_tmp1.2': 'sorting',
  'postgresql.auto.conf': "work_mem = '4MB'\n",
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  dataDir = join(directory, 'data')
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(join(dataDir, 'postgres', path, '..'), { recursive: true })
    writeFileSync(join(dataDir, 'postgres', path), text)
  }
  mkdirSync(join(dataDir, 'postgres', 'pg_tblspc'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function write(): Promise<void> {
  const writer = await BackupWriter.begin(dataDir, backup())
  await writer.copyData()
  await writer.write('backup_label', 'label')
  await writer.copyLog(['000000010000000000000002'])
  await writer.copyLog(await writer.timelineHistories())
  await writer.finish(ABOUT)
}

test('a backup is laid as it was taken: no lock file, no slot, no leftover, and of the log what was named', async () => {
  await write()
  const target = join(directory, 'new')
  expect(await layBackup(backup(), target)).toMatchObject(ABOUT)
  const laid = join(target, 'postgres')
  const found = readdirSync(laid, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  expect(found.map((entry) => join(entry.parentPath, entry.name).slice(laid.length + 1)).sort()).toEqual([
    'PG_VERSION',
    'backup_label',
    'base/5/1234',
    'pg_wal/000000010000000000000002',
    'pg_wal/00000002.history',
    'postgresql.auto.conf',
    'recovery.signal',
  ])
  for (const empty of ['pg_tblspc', 'pg_replslot']) expect(readdirSync(join(laid, empty))).toEqual([])
  expect(readFileSync(join(laid, 'base/5/1234'), 'utf8')).toBe('rows')
  // What was set stays set.
  expect(readFileSync(join(laid, 'postgresql.auto.conf'), 'utf8')).toBe(
    "work_mem = '4MB'\nrestore_command = 'false'\nhot_standby = off\n",
  )
})

test('nothing is put over a backup or a cluster, and nothing is left of what failed', async () => {
  await write()
  await expect(BackupWriter.begin(dataDir, backup())).rejects.toThrow('is there already')
  await expect(layBackup(backup(), dataDir)).rejects.toThrow('is there already. Stop the service')
  await expect(layBackup(dataDir, join(directory, 'new'))).rejects.toThrow('is no backup')
  appendFileSync(join(backup(), 'postgres/base/5/1234'), '!')
  await expect(layBackup(backup(), join(directory, 'new'))).rejects.toThrow('is not as it was when the backup was made')
  expect(readdirSync(join(directory, 'new'))).toEqual([])
})

test('a file of the log that is gone, and a cluster that lies in two places, are errors', async () => {
  const writer = await BackupWriter.begin(dataDir, backup())
  await expect(writer.copyLog(['000000010000000000000003'])).rejects.toThrow('has no file 000000010000000000000003')
  symlinkSync(directory, join(dataDir, 'postgres', 'pg_tblspc', '16384'))
  await expect(writer.copyData()).rejects.toThrow('lies elsewhere')
  await writer.abandon()
  expect(readdirSync(directory)).toEqual(['data'])
})

test('a backup that another one writes is left alone, and one that was interrupted is removed', async () => {
  const ended = `${backup()}.unfinished-999999-1`
  mkdirSync(join(ended, 'postgres'), { recursive: true })
  const writer = await BackupWriter.begin(dataDir, backup())
  expect(readdirSync(directory)).not.toContain(basename(ended))
  await expect(BackupWriter.begin(dataDir, backup())).rejects.toThrow('is being written, into ')
  await writer.copyData()
  await writer.finish(ABOUT)
  expect(readdirSync(directory).sort()).toEqual(['backup', 'data'])
})

test.runIf(canLock)(
  'a backup that is written out of sight, as in another container, is left alone until it ends',
  async () => {
    const theirs = `${backup()}.unfinished-999999-1-1-a`
    mkdirSync(theirs, { recursive: true })
    const letGo = await holdLock(theirs)
    await expect(BackupWriter.begin(dataDir, backup())).rejects.toThrow(`is being written, into ${theirs}.`)
    await expect(removeInterrupted(directory, 'backup.')).resolves.toEqual({ removed: [], kept: [theirs] })
    letGo()
    await expect
      .poll(() => removeInterrupted(directory, 'backup.'), { interval: 5, timeout: 60_000 })
      .toEqual({ removed: [theirs], kept: [] })
    expect(readdirSync(directory)).toEqual(['data'])
  },
)

test.runIf(canLock)('what was laid is taken back, but from no service that has begun to use it', async () => {
  await write()
  const target = join(directory, 'new')
  await layBackup(backup(), target)
  const letGo = await holdLock(join(target, 'postgres'))
  await removeLaidBackup(target)
  expect(readdirSync(target)).toEqual(['postgres'])
  letGo()
  await expect.poll(() => lockState(join(target, 'postgres')), { interval: 5, timeout: 60_000 }).toBe('free')
  await removeLaidBackup(target)
  expect(readdirSync(target)).toEqual([])
})

test('two that are filled at once have two names, also in one process, and their locks go with them', async () => {
  const [one, two] = await Promise.all([
    UnfinishedDirectory.make(directory, 'x-'),
    UnfinishedDirectory.make(directory, 'x-'),
  ])
  expect(readdirSync(directory).sort()).toEqual(['data', basename(one.path), basename(two.path)].sort())
  if (canLock) expect(await lockState(one.path)).toBe('held')
  await one.rename(join(directory, 'named'))
  expect(await lockState(join(directory, 'named'))).not.toBe('held')
  await two.abandon()
  expect(readdirSync(directory)).toEqual(['data', 'named'])
})

test('a place that vanishes while a backup is written is an error, and no file that the server has removed', async () => {
  const writer = await BackupWriter.begin(dataDir, backup())
  for (const name of readdirSync(directory)) {
    if (name.startsWith('backup')) await rm(join(directory, name), { recursive: true })
  }
  await expect(writer.copyLog(['000000010000000000000002'])).rejects.toThrow('ENOENT')
})

test('the commands are for the own PostgreSQL, where there is one', async () => {
  const withDatabase = () => Promise.reject(new Error('not asked'))
  const rest = { logger: () => silentLogger, epochStore: () => expect.unreachable('no epoch is read'), withDatabase }
  const external = storageTools({ config: () => loadConfig({ POSTGRES_DSN: 'postgres://h/x' }), ...rest })
  await expect(external.backUp(backup())).rejects.toThrow('Use pg_dump or pg_basebackup of yours')
  await expect(external.restore(backup())).rejects.toThrow('POSTGRES_DSN is set')
  const none = storageTools({ config: () => loadConfig({ DATA_DIR: join(directory, 'none') }), ...rest })
  await expect(none.backUp(backup())).rejects.toThrow('holds no PostgreSQL of this service')
  expect(readdirSync(directory)).toEqual(['data'])
})

test.each([
  ['0/2000028', '0/2000120', ['000000010000000000000002']],
  ['0/2000028', '0/3000000', ['000000010000000000000002']],
  ['0/FF000028', '1/1', ['0000000100000000000000FF', '000000010000000100000000']],
])('the log from %s to %s is in these files', (from, to, names) => {
  expect(segmentsBetween('00000001', from, to)).toEqual(names)
})
