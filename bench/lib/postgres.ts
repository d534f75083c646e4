/** One PostgreSQL for a whole bench run, with the settings of the service's own; each run gets a database of its own. */
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { startPostgresServer } from '../../src/embedded-postgres/server.ts'
import type { Logger } from '../../src/lib/logger.ts'
import { resolveDsn } from '../../src/postgres/dsn.ts'
import { parentOf, type Role } from './cost.ts'
import type { Settings } from './settings.ts'

export interface BenchPostgres {
  /** The server with all its backends; undefined when it runs on another machine, where its cost cannot be read. */
  readonly role: Role | undefined
  /** Writes a checkpoint and makes an empty database. */
  createDatabase(): Promise<BenchDatabase>
  stop(): Promise<void>
}

export interface BenchDatabase {
  readonly dsn: string
  drop(): Promise<void>
}

/** Starts a server in a temporary folder, or uses the one of `BENCH_POSTGRES_DSN`, whose role must be able to create databases. */
export async function startPostgres(settings: Settings): Promise<BenchPostgres> {
  placeMigrations(settings)
  const own = settings.postgresDsn === undefined ? await startOwn() : undefined
  const dsn = own?.dsn ?? settings.postgresDsn ?? ''
  let databases = 0
  return {
    role: await roleOf(dsn),
    async createDatabase() {
      const name = `bench_${process.pid}_${databases++}`
      await runSql(dsn, 'checkpoint', `create database ${name}`)
      return { dsn: withDatabase(dsn, name), drop: () => runSql(dsn, `drop database if exists ${name} with (force)`) }
    },
    stop: async () => own?.stop(),
  }
}

/** Runs statements one after the other, each in its own transaction and without a time limit. */
export async function runSql(dsn: string, ...statements: readonly string[]): Promise<void> {
  await withClient(dsn, async (client) => {
    for (const statement of statements) await client.query(statement)
  })
}

/** The single number that a query gives. */
export async function queryNumber(dsn: string, text: string, values: readonly unknown[] = []): Promise<number> {
  const [row] = await queryRows<[string]>(dsn, text, values)
  return Number(row?.[0])
}

/** The rows of a query, each the list of its columns. */
export async function queryRows<Row extends string[] = [string, string]>(
  dsn: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { rows } = await withClient(dsn, (client) => client.query<Row>({ text, values: [...values], rowMode: 'array' }))
  return rows
}

export async function withClient<Result>(dsn: string, use: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client(await resolveDsn(dsn))
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function startOwn(): Promise<{ dsn: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'messaging-bench-'))
  chmodSync(folder, 0o755) // PostgreSQL does not run as root: another user must be able to pass
  const server = await startPostgresServer({ dataDir: folder, logger: onlyProblems })
  return {
    dsn: server.dsn,
    async stop() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

const ignore = (): void => undefined
const complain = (fields: object, msg: string): void => {
  process.stderr.write(`${msg} ${JSON.stringify(fields)}\n`)
}
const onlyProblems: Logger = { debug: ignore, info: ignore, warn: ignore, error: complain }

/** Asked while the backend lives: its parent is the postmaster. */
async function roleOf(dsn: string): Promise<Role | undefined> {
  const pid = await withClient(dsn, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    return parentOf(rows[0]?.pid ?? 0)
  })
  return pid === undefined ? undefined : { name: 'postgres', pid, withChildren: true }
}

function withDatabase(dsn: string, name: string): string {
  return dsn.replace(/^(postgres(?:ql)?:\/\/[^/?]*)(\/[^?]*)?/, `$1/${name}`)
}

/** The service's code looks for its migrations two folders above itself; compiled for a bench it lies in the build folder. */
function placeMigrations({ projectRoot }: Settings): void {
  cpSync(join(projectRoot, 'sql'), fileURLToPath(new URL('../../sql', import.meta.url)), { recursive: true })
}
