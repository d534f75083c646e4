import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startPostgresServer } from '../../../src/embedded-postgres/server.ts'
import { assertDurable } from '../../../src/postgres/assertions.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { createDatabase, execute, placeCluster, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
})

afterAll(() => database.drop())

async function connect(dsn: string): Promise<pg.Client> {
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

test('accepts a durable primary', async () => {
  await expect(assertDurable(await connect(database.dsn))).resolves.toBe('on')
})

test.each(['off', 'local', 'remote_write'])('refuses synchronous_commit = %s', async (value) => {
  const client = await connect(database.dsn)
  await client.query(`set synchronous_commit = ${value}`)
  await expect(assertDurable(client)).rejects.toThrow(`synchronous_commit is ${value}`)
})

test.each(['on', 'remote_apply'])('accepts synchronous_commit = %s', async (value) => {
  const client = await connect(database.dsn)
  await client.query(`set synchronous_commit = ${value}`)
  await expect(assertDurable(client)).resolves.toBe(value)
})

test('reports everything that is wrong with a server at once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  await placeCluster(dataDir)
  const settings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', shared_buffers: '16MB' }
  const server = await startPostgresServer({ dataDir, logger: silentLogger, settings })
  try {
    await execute(
      server.dsn,
      "create database latin template template0 encoding 'LATIN1' locale 'C' locale_provider libc",
    )
    const client = new pg.Client({ ...parseDsn(server.dsn), database: 'latin' })
    await client.connect()
    const refusal = await assertDurable(client).catch((error: unknown) => String(error))
    await client.end()
    for (const reason of [
      'fsync is off',
      'full_page_writes is off',
      'synchronous_commit is off',
      'encoding is LATIN1',
    ]) {
      expect(refusal).toContain(reason)
    }
  } finally {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
})
