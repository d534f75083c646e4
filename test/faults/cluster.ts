// A PostgreSQL of its own, on data that stays: killed, frozen and started again.
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type PostgresServer, startPostgresServer } from '../../src/embedded-postgres/server.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { copyCluster, makeCluster } from '../support/made-cluster.ts'
import { silentLogger } from '../support/silent-logger.ts'

const ignore = (): void => undefined
const USER = 'user'
const PASSWORD = 'pass'
const PREFIX = join(tmpdir(), 'messaging-faults-')

type Starter = () => Promise<PostgresServer>

export class Cluster {
  readonly dataDir: string
  readonly #starter: Starter
  #server: PostgresServer | undefined
  crashes = 0

  private constructor(dataDir: string, starter: Starter) {
    this.dataDir = dataDir
    this.#starter = starter
  }

  /** `dataDir`: on a file system of the caller's choice; else a temporary directory. */
  static async start(dataDir?: string, settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const directory = dataDir ?? (await temporaryDataDir())
    const options = { dataDir: directory, logger: silentLogger, settings: { shared_buffers: '64MB', ...settings } }
    return Cluster.of(directory, () => startPostgresServer(options))
  }

  /** `starter` is asked at each start, and may give another server each time. */
  static async of(dataDir: string, starter: Starter): Promise<Cluster> {
    const cluster = new Cluster(dataDir, starter)
    await cluster.startAgain()
    await cluster.run(`create role "${USER}" login superuser password '${PASSWORD}'`)
    return cluster
  }

  /** The unix socket, or undefined while it is down. */
  get socketPath(): string | undefined {
    const directory = this.#server && new URL(this.#server.dsn).searchParams.get('host')
    return directory ? join(directory, '.s.PGSQL.5432') : undefined
  }

  /** As the service is given it, through a proxy on this port. */
  dsn(port: number, database: string): string {
    return `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/${database}?sslmode=disable`
  }

  /** As superuser, over the socket, not through a proxy. */
  socketDsn(database: string): string {
    const url = new URL(this.#server?.dsn ?? 'postgres://nobody@localhost:1/none')
    url.pathname = `/${database}`
    return url.href
  }

  async startAgain(): Promise<void> {
    if (this.#server) return
    this.#server = await this.#starter()
  }

  /** Kills the server and all its processes at once. */
  async crash(): Promise<void> {
    const server = this.#server
    if (!server) return
    this.crashes += 1
    for (const pid of await this.pids()) signal(pid, 'SIGKILL')
    await server.exited
    await server.stop()
    this.#server = undefined
  }

  async freezeAll(): Promise<void> {
    for (const pid of await this.pids()) signal(pid, 'SIGSTOP')
  }
  async thawAll(): Promise<void> {
    for (const pid of await this.pids()) signal(pid, 'SIGCONT')
  }

  /** The postmaster, then its children. */
  async pids(): Promise<number[]> {
    const pid = this.#server?.pid
    if (pid === undefined) return []
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    return [pid, ...children.split(' ').map(Number)].filter((one) => one > 0)
  }

  /** Processes that serve a session of this database. */
  async backends(database: string): Promise<number[]> {
    const rows = await this.query(`select pid from pg_stat_activity where datname = '${database}'`)
    return rows.map(([pid]) => Number(pid))
  }

  async run(...statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.query(statement)
  }

  /** As superuser, over the socket, not through a proxy. */
  async query(text: string, database = 'postgres'): Promise<unknown[][]> {
    const client = new pg.Client(parseDsn(this.socketDsn(database)))
    client.on('error', ignore)
    await client.connect()
    try {
      return (await client.query({ text, rowMode: 'array' })).rows
    } finally {
      await client.end()
    }
  }

  async remove(): Promise<void> {
    await this.thawAll()
    await this.#server?.stop()
    this.#server = undefined
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10 })
  }
}

let made: Promise<string> | undefined

/** With a cluster in it: one is made in each run, and copied as often as one is wanted. */
async function temporaryDataDir(): Promise<string> {
  made ??= makeOnce()
  const directory = await mkdtemp(PREFIX)
  await copyCluster(await made, directory)
  return directory
}

async function makeOnce(): Promise<string> {
  const directory = await mkdtemp(PREFIX)
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  await makeCluster(directory)
  return directory
}

/** Ends what is signalled after it has ended. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
