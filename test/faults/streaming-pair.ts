// A primary and its streaming standby of the distribution's PostgreSQL 15, behind one address that follows the primary.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Account, accountFor } from '../../src/embedded-postgres/account.ts'
import { CHILD_ENVIRONMENT } from '../../src/embedded-postgres/binaries.ts'
import { dsnOf } from '../../src/embedded-postgres/runtime-dir.ts'
import type { PostgresExit, PostgresServer } from '../../src/embedded-postgres/server.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { signal } from './cluster.ts'
import { requireProgram } from './missing.ts'
import { until } from './world.ts'

const run = promisify(execFile)
const PROGRAMS = '/usr/lib/postgresql/15/bin'
const STANDBY = 'standby'
const READY_LIMIT_MS = 60_000
const SETTINGS = { fsync: 'on', shared_buffers: '64MB', max_wal_size: '1GB', wal_keep_size: '512MB' }
const ignore = (): void => undefined

/** The oldest version that the service takes. */
export function requirePostgres15(): Promise<void> {
  return requireProgram(join(PROGRAMS, 'postgres'), '--version', 'Debian 12: apt-get install postgresql-15')
}

export class StreamingPair {
  readonly directory: string
  readonly #account: Account | undefined
  #count = 0
  #primary: Postgres15
  #standby: Postgres15 | undefined

  private constructor(directory: string, account: Account | undefined) {
    this.directory = directory
    this.#account = account
    this.#primary = this.#next()
  }

  static async create(): Promise<StreamingPair> {
    const directory = await mkdtemp(join(tmpdir(), 'messaging-faults-pair-'))
    const account = await accountFor(directory)
    if (account) await chown(directory, account.uid, account.gid)
    const pair = new StreamingPair(directory, account)
    const primary = pair.#primary
    await primary.make('initdb', ['-U', 'postgres', '-E', 'UTF8', '--locale=C', '-A', 'trust', '-D', primary.dataDir])
    await primary.start()
    await pair.#lead(primary)
    return pair
  }

  /** Resolves with whoever serves at the address. A primary that has died is followed by its standby, which is promoted. */
  async serve(): Promise<PostgresServer> {
    const standby = this.#standby
    if (!this.#primary.hasEnded || !standby) return this.#primary
    // The service meets it before it is promoted, and may not use it yet.
    await this.#lead(standby)
    await standby.query('select pg_promote(true, 60)')
    this.#primary = standby
    this.#standby = undefined
    return standby
  }

  /** A standby that has everything, and goes on receiving; `isSynchronous`: no COMMIT is answered before it is there, too. */
  async addStandby({ isSynchronous }: { readonly isSynchronous: boolean }): Promise<void> {
    const primary = this.#primary
    const standby = this.#next()
    const from = `host=${primary.socketDir} user=postgres application_name=${STANDBY}`
    await standby.make('pg_basebackup', ['-d', from, '-D', standby.dataDir, '-X', 'stream', '-R', '-c', 'fast'])
    await standby.start()
    this.#standby = standby
    if (isSynchronous) {
      await primary.query(`alter system set synchronous_standby_names = '${STANDBY}'`)
      await primary.query('select pg_reload_conf()')
    }
    const wanted = isSynchronous ? 'sync' : 'async'
    const standing = `select 1 from pg_stat_replication where state = 'streaming' and sync_state = '${wanted}'`
    await until('the standby to follow', READY_LIMIT_MS, async () => (await primary.query(standing)).length === 1)
  }

  /** From here on the standby receives nothing more; it may serve reads, and be promoted. */
  async cutOff(): Promise<void> {
    const standby = this.#standby
    await standby?.query("alter system set primary_conninfo = ''")
    await standby?.query('select pg_reload_conf()')
    const isOver = async (): Promise<boolean> =>
      (await standby?.query('select 1 from pg_stat_wal_receiver'))?.length === 0
    await until('the standby to hear nothing more', READY_LIMIT_MS, isOver)
  }

  async remove(): Promise<void> {
    await Promise.all([this.#primary.stop(), this.#standby?.stop()])
    await rm(this.directory, { recursive: true, force: true, maxRetries: 10 })
  }

  #next(): Postgres15 {
    this.#count += 1
    return new Postgres15(join(this.directory, String(this.#count)), this.#address, this.#account)
  }

  get #address(): string {
    return join(this.directory, 'address')
  }

  /** At once for whoever connects from now on. */
  async #lead(server: Postgres15): Promise<void> {
    await symlink(server.socketDir, `${this.#address}-next`)
    await rename(`${this.#address}-next`, this.#address)
  }
}

class Postgres15 implements PostgresServer {
  readonly dataDir: string
  readonly socketDir: string
  readonly dsn: string
  readonly #account: Account | undefined
  #child: ChildProcess | undefined
  #exited: Promise<PostgresExit> = Promise.resolve({ code: 0, signal: null })

  constructor(directory: string, address: string, account: Account | undefined) {
    this.socketDir = directory
    this.dataDir = join(directory, 'data')
    this.dsn = dsnOf(address)
    this.#account = account
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }
  get exited(): Promise<PostgresExit> {
    return this.#exited
  }
  get hasEnded(): boolean {
    return this.#child?.exitCode !== null || this.#child.signalCode !== null
  }

  /** Runs a program that makes its data. */
  async make(program: string, options: readonly string[]): Promise<void> {
    await mkdir(this.socketDir)
    if (this.#account) await chown(this.socketDir, this.#account.uid, this.#account.gid)
    await run(join(PROGRAMS, program), options, { ...this.#account, cwd: this.socketDir, env: CHILD_ENVIRONMENT })
  }

  async start(): Promise<void> {
    const settings = { ...SETTINGS, listen_addresses: '', unix_socket_directories: this.socketDir }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = spawn(join(PROGRAMS, 'postgres'), ['-D', this.dataDir, ...options], {
      ...this.#account,
      ...{ cwd: this.socketDir, env: CHILD_ENVIRONMENT, stdio: 'ignore' },
    })
    const orphaned = (): void => signal(child.pid ?? 0, 'SIGQUIT')
    process.once('exit', orphaned)
    this.#child = child
    this.#exited = once(child, 'exit').then(([code, name]) => {
      process.off('exit', orphaned)
      return { code, signal: name }
    })
    await until('PostgreSQL 15 to answer', READY_LIMIT_MS, async () => {
      if (this.hasEnded) throw new Error(`PostgreSQL 15 ended with ${child.exitCode ?? child.signalCode}`)
      return this.query('select 1').then(
        () => true,
        () => false,
      )
    })
  }

  /** Of this server, wherever the address leads to. */
  async query(text: string): Promise<unknown[][]> {
    const client = new pg.Client(parseDsn(dsnOf(this.socketDir)))
    client.on('error', ignore)
    await client.connect()
    try {
      return (await client.query({ text, rowMode: 'array' })).rows
    } finally {
      await client.end()
    }
  }

  async stop(): Promise<void> {
    if (!this.hasEnded) this.#child?.kill('SIGINT')
    await this.#exited
  }
}
