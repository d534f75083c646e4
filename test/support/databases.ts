// One PostgreSQL per test run, one database per test file: a clone of a template that was migrated once.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { inject } from 'vitest'
import { type PostgresServer, startPostgresServer } from '../../src/embedded-postgres/server.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { DependencyLog } from '../../src/lib/dependency-log.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { migrate } from '../../src/postgres/migrate.ts'
import { copyCluster, makeCluster } from './made-cluster.ts'
import { silentLogger } from './silent-logger.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser DSN of the run's cluster. */
    postgresDsn: string
    /** A data directory with a cluster on which nothing runs. Shared: to be copied. */
    madeCluster: string
  }
}

export interface TestDatabase {
  readonly dsn: string
  /** Ends all its sessions and removes it. */
  drop(): Promise<void>
}

const TEMPLATE = 'migrated'

/** Of PostgreSQL, for tests that do not read what it says. */
export const silentHealth = new DependencyLog({ dependency: 'PostgreSQL', logger: silentLogger, clock: systemClock })

export interface TestCluster {
  readonly dsn: string
  /** The data directory that it was copied from. */
  readonly madeCluster: string
  stop(): Promise<void>
}

/** Starts the cluster of a test run, with the durability the service insists on, and the template database in it. */
export async function startCluster(): Promise<TestCluster> {
  const [madeCluster, dataDir] = await Promise.all([makeDirectory(), makeDirectory()])
  const remove = async (): Promise<void> => {
    for (const directory of [madeCluster, dataDir]) await rm(directory, { recursive: true, force: true })
  }
  const settings = { shared_buffers: '64MB' }
  const start = async (): Promise<PostgresServer> => {
    await makeCluster(madeCluster)
    await copyCluster(madeCluster, dataDir)
    return startPostgresServer({ dataDir, logger: silentLogger, settings })
  }
  const server = await start().catch(async (error) => {
    await remove()
    throw error
  })
  const stop = async () => {
    await server.stop()
    await remove()
  }
  try {
    await execute(server.dsn, `create database ${TEMPLATE}`)
    await migrate(parseDsn(withDatabase(server.dsn, TEMPLATE)), { logger: silentLogger })
    // A template with a session on it cannot be cloned: let nobody connect by mistake.
    await execute(server.dsn, `alter database ${TEMPLATE} allow_connections false`)
  } catch (error) {
    await stop()
    throw error
  }
  return { dsn: server.dsn, madeCluster, stop }
}

const makeDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'messaging-test-'))

/** Puts a cluster into the data directory of a test that is not about how one is made. */
export function placeCluster(dataDir: string): Promise<void> {
  return copyCluster(inject('madeCluster'), dataDir)
}

/** A migrated, otherwise empty database for one test file. */
export function createDatabase(): Promise<TestDatabase> {
  return create(`template ${TEMPLATE}`)
}

/** A database without any table of the service. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return create('')
}

async function create(options: string): Promise<TestDatabase> {
  const adminDsn = inject('postgresDsn')
  const name = `test_${crypto.randomUUID().replaceAll('-', '')}`
  await execute(adminDsn, `create database ${name} ${options}`)
  return {
    dsn: withDatabase(adminDsn, name),
    drop: () => execute(adminDsn, `drop database if exists ${name} with (force)`),
  }
}

/** Runs one statement on a connection of its own. */
export async function execute(dsn: string, statement: string): Promise<void> {
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

function withDatabase(dsn: string, name: string): string {
  const url = new URL(dsn)
  url.pathname = `/${name}`
  return url.href
}
