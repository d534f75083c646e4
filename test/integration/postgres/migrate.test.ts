import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { migrate } from '../../../src/postgres/migrate.ts'
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const FIRST = 'create table letters (id int primary key);\ninsert into letters values (1);\n'
const SECOND = 'insert into letters values (2);\n'

let database: TestDatabase
let directory: string

beforeEach(async () => {
  database = await createEmptyDatabase()
  directory = await mkdtemp(join(tmpdir(), 'messaging-sql-'))
  await write({ '001_first.sql': FIRST, '002_second.sql': SECOND })
})

afterEach(async () => {
  await database.drop()
  await rm(directory, { recursive: true, force: true })
})

async function write(files: Record<string, string>): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory)
  for (const [name, sql] of Object.entries(files)) await writeFile(join(directory, name), sql)
}

const run = () => migrate(parseDsn(database.dsn), { logger: silentLogger, directory: pathToFileURL(`${directory}/`) })

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client(parseDsn(database.dsn))
  await client.connect()
  const { rows } = await client.query({ text: sql, rowMode: 'array' })
  await client.end()
  return rows.flat()
}

test('applies the files in order, once', async () => {
  expect(await run()).toEqual([1, 2])
  expect(await run()).toEqual([])
  expect(await query('select id from letters order by id')).toEqual([1, 2])
})

test('applies only what is new', async () => {
  await run()
  await write({ '001_first.sql': FIRST, '002_second.sql': SECOND, '003_third.sql': 'insert into letters values (3)' })
  expect(await run()).toEqual([3])
})

test('lets several instances start together: one applies, all succeed', async () => {
  await write({ '001_first.sql': `select pg_sleep(0.2); ${FIRST}`, '002_second.sql': SECOND })
  const applied = await Promise.all([run(), run(), run(), run()])
  expect(applied.flat().sort()).toEqual([1, 2])
  expect(await query('select id from letters order by id')).toEqual([1, 2])
})

test('waits for another instance without the limits of ordinary sessions', async () => {
  await write({ '001_first.sql': `select pg_sleep(0.3); ${FIRST}` })
  const limited = { ...parseDsn(database.dsn), lock_timeout: 50, statement_timeout: 50 }
  const runLimited = () => migrate(limited, { logger: silentLogger, directory: pathToFileURL(`${directory}/`) })
  expect((await Promise.all([runLimited(), runLimited()])).flat()).toEqual([1])
})

test('is given up by PostgreSQL when its process is stopped between two statements', async () => {
  await write({
    '001_first.sql': "create table seen as select current_setting('idle_in_transaction_session_timeout') v",
  })
  await run()
  expect(await query('select v from seen')).toEqual(['30s'])
})

test('refuses a file that was changed after it was applied', async () => {
  await run()
  await write({ '001_first.sql': `${FIRST}-- a later thought\n`, '002_second.sql': SECOND })
  await expect(run()).rejects.toThrow('001_first.sql was changed after it was applied')
})

test('takes other line ends for the same file', async () => {
  await run()
  await write({ '001_first.sql': FIRST.replaceAll('\n', '\r\n'), '002_second.sql': SECOND })
  expect(await run()).toEqual([])
})

test('leaves newer versions in the database alone, as the previous release beside the next must', async () => {
  await run()
  await write({ '001_first.sql': FIRST })
  expect(await run()).toEqual([])
})

test('refuses a file whose turn has passed', async () => {
  await run()
  await query('delete from schema_migrations where version = 1 returning version')
  await expect(run()).rejects.toThrow('001_first.sql comes too late')
})

test.each([
  ['a gap', { '001_first.sql': FIRST, '003_third.sql': SECOND }, 'should have number 2'],
  ['a double', { '001_first.sql': FIRST, '001_second.sql': SECOND }, 'should have number 2'],
  ['a bad name', { '1.sql': FIRST }, 'must be named'],
])('refuses %s in the files', async (_what, files, message) => {
  await write(files)
  await expect(run()).rejects.toThrow(message)
  expect(await query("select to_regclass('letters')")).toEqual([null])
})

test('keeps nothing of a file that fails, and the files before it', async () => {
  await write({ '001_first.sql': FIRST, '002_second.sql': `${SECOND} select 1/0;` })
  await expect(run()).rejects.toThrow('Migration 002_second.sql failed: division by zero')
  expect(await query('select id from letters')).toEqual([1])
  await write({ '001_first.sql': FIRST, '002_second.sql': SECOND })
  expect(await run()).toEqual([2])
})

test('has brought the template of the test databases up to the files of the repository', async () => {
  const migrated = await createDatabase()
  expect(await migrate(parseDsn(migrated.dsn), { logger: silentLogger })).toEqual([])
  await migrated.drop()
})

const TABLES = "select c.oid::regclass::text from pg_class c where relnamespace = 'public'::regnamespace order by 1"

test.each([
  ['create table letters (a int)', 'letters'],
  ['create view letters as select 1', 'letters'],
  [
    'create table schema_migrations (version varchar primary key)',
    "schema_migrations is another program's: its columns are version",
  ],
])('a database where another program has made "%s" stays as it is, and the start says so', async (made, words) => {
  await query(made)
  const before = await query(TABLES)
  await expect(run()).rejects.toThrow(words)
  await expect(run()).rejects.toThrow('Nothing was changed. Give the service a database of its own')
  expect(await query(TABLES)).toEqual(before)
})

test('a schema of its own keeps it apart from other programs, as the message says', async () => {
  await query('create table letters (a int)')
  const options = { logger: silentLogger, directory: pathToFileURL(`${directory}/`), schema: 'chat' }
  expect(await migrate(parseDsn(database.dsn), options)).toEqual([1, 2])
  expect(await migrate(parseDsn(database.dsn), options)).toEqual([])
  expect(await query('select id from chat.letters')).toEqual([1, 2])
  expect(await query('select count(*)::int from public.letters')).toEqual([0])
})

test('a schema that the address names instead must be there, and is the only one', async () => {
  await query('create table letters (a int)')
  await query('create schema chat')
  const dsn = `${database.dsn}&options=-csearch_path%3Dchat`
  const migrated = migrate(parseDsn(dsn), { logger: silentLogger, directory: pathToFileURL(`${directory}/`) })
  expect(await migrated).toEqual([1, 2])
  expect(await query('select id from chat.letters')).toEqual([1, 2])
  const none = parseDsn(`${database.dsn}&options=-csearch_path%3Dmissing`)
  await expect(migrate(none, { logger: silentLogger })).rejects.toThrow('names no schema that there is')
})

test('a schema of its own in which another program has tables stays as it is', async () => {
  await query('create schema chat')
  await query('create table chat.letters (a int)')
  const options = { logger: silentLogger, directory: pathToFileURL(`${directory}/`), schema: 'chat' }
  await expect(migrate(parseDsn(database.dsn), options)).rejects.toThrow('The schema chat holds tables of another')
  expect(await query("select tablename::text from pg_tables where schemaname in ('chat', 'public')")).toEqual([
    'letters',
  ])
})
