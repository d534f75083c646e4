// A real Redis, or Valkey, for the tests: one for the whole run, and servers of their own for tests that break them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import type { Certificate } from './certificate.ts'
import { within } from './deadline.ts'
import { installedProgram } from './installed-program.ts'
import type { RedisSetUp } from './redis-set-up.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the run's Redis, and it as the service is told. Shared: take a prefix of your own, and never flush it. */
    redisUrl: string
    redisEnv: Readonly<Record<string, string>>
  }
}

/** The packaged daemon is not started at run level 1. */
const REDIS = { programs: ['redis-server', 'valkey-server'], package: 'redis-server', env: { RUNLEVEL: '1' } }

/** Below the ports that the system hands out by itself, so that a server finds its port free when it starts again. */
const PORTS = { first: 22_000, count: 10_000 }
/** Of a node of a cluster, which takes the port 10,000 above as well. */
const CLUSTER_PORTS = { first: 10_000, count: 2_000 }
const START_ATTEMPTS = 20
/** States of a connection that takes commands; one that was lost is not made again by itself. */
const STANDING: ReadonlySet<string> = new Set(['connecting', 'connect', 'ready'])

/** Ends the server when the test's process dies without stopping it: only that process holds the other end of the pipe. */
const WATCHDOG = `trap '' HUP INT TERM; read -r farewell || kill -s KILL "$1" 2>/dev/null; [ "$farewell" ] || rm -rf "$2"`

/** What else than a plain server it is. */
export interface RedisKind {
  /** It speaks TLS alone, and takes whoever shows the same certificate. */
  readonly tls?: Certificate
  /** What is started in place of a Redis. */
  readonly program?: string
  /** It is a sentinel with this configuration. */
  readonly sentinel?: string
}

export class RedisServer implements RedisSetUp {
  readonly #program: string
  readonly #dir: string
  readonly #settings: readonly string[]
  readonly #kind: RedisKind
  #port = 0
  #child: ChildProcess | undefined
  #watchdog: ChildProcess | undefined
  /** Kept from command to command: many of them are asked again and again until something has changed. */
  #observer: Redis | undefined

  private constructor(program: string, dir: string, settings: readonly string[], kind: RedisKind) {
    this.#program = program
    this.#dir = dir
    this.#settings = settings
    this.#kind = kind
  }

  /** `settings` as on the command line, such as `['--requirepass', 'secret']`. */
  static async start(settings: readonly string[] = [], kind: RedisKind = {}): Promise<RedisServer> {
    const program = kind.program ?? (await installedProgram(REDIS))
    const server = new RedisServer(program, await mkdtemp(join(tmpdir(), 'messaging-redis-')), settings, kind)
    const ports = settings.includes('--cluster-enabled') ? CLUSTER_PORTS : PORTS
    for (let attempt = 1; ; attempt += 1) {
      server.#port = ports.first + Math.floor(Math.random() * ports.count)
      try {
        await server.startAgain()
        return server
      } catch (error) {
        if (attempt < START_ATTEMPTS) continue
        await server.stop()
        throw error
      }
    }
  }

  get port(): number {
    return this.#port
  }
  get url(): string {
    return `${this.#kind.tls ? 'rediss' : 'redis'}://127.0.0.1:${this.#port}`
  }
  get isRunning(): boolean {
    return this.#child !== undefined
  }
  get env(): Readonly<Record<string, string>> {
    return { REDIS_ADDR: this.url }
  }

  /** Starts it, empty, on the same port. */
  async startAgain(): Promise<void> {
    const fixed = ['--bind', '127.0.0.1', '--dir', this.#dir, '--daemonize', 'no']
    const child = spawn(this.#program, [...(await this.#kindArgs()), ...fixed, ...this.#settings], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child = child
    this.#watchdog = spawn('/bin/sh', ['-c', WATCHDOG, 'redis-watchdog', String(child.pid), this.#dir], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const lines: string[] = []
    const ready = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        lines.push(line)
        if (/Ready to accept connections|Sentinel ID is/.test(line)) resolve()
      })
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`Redis ended:\n${lines.slice(-5).join('\n')}`)))
    })
    ready.catch(() => this.#dismiss())
    await within(ready, () => `Redis: ${lines.slice(-5).join('\n')}`)
  }

  /** Runs one command, on a connection that no other server's commands use. */
  async run(command: string, ...args: (string | number)[]): Promise<unknown> {
    if (!this.#observer || !STANDING.has(this.#observer.status)) this.#observer = this.#connect()
    return this.#observer.call(command, ...args)
  }

  async all(command: string, ...args: (string | number)[]): Promise<unknown[]> {
    return [await this.run(command, ...args)]
  }

  #connect(): Redis {
    const { tls } = this.#kind
    const redis = new Redis({
      ...{ host: '127.0.0.1', port: this.#port, maxRetriesPerRequest: 0, retryStrategy: () => null },
      ...(tls && {
        tls: { ca: readFileSync(tls.cert), cert: readFileSync(tls.cert), key: readFileSync(tls.key) },
      }),
      ...this.#password(),
    })
    redis.on('error', () => undefined)
    return redis
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }
  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Kills it at once; everything in it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    this.#observer?.disconnect()
    this.#observer = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    this.#dismiss()
  }

  killPart(): Promise<void> {
    return this.kill()
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
  }

  async #kindArgs(): Promise<string[]> {
    const { tls, sentinel } = this.#kind
    const port = String(this.#port)
    const files = tls ? ['--tls-cert-file', tls.cert, '--tls-key-file', tls.key, '--tls-ca-cert-file', tls.cert] : []
    const listen = tls ? ['--port', '0', '--tls-port', port, ...files] : ['--port', port]
    if (sentinel === undefined) return ['--save', '', '--appendonly', 'no', ...listen]
    // It writes what it learns into this file.
    const file = join(this.#dir, 'sentinel.conf')
    await writeFile(file, sentinel)
    return [file, '--sentinel', ...listen]
  }

  #dismiss(): void {
    this.#watchdog?.stdin?.end('farewell\n')
    this.#watchdog = undefined
  }

  #password(): { password?: string } {
    const password = this.#settings[this.#settings.indexOf('--requirepass') + 1]
    return this.#settings.includes('--requirepass') && password ? { password } : {}
  }
}

/** The run's Redis, with a prefix that nobody else uses. */
export function sharedRedis() {
  return { url: inject('redisUrl'), env: inject('redisEnv'), prefix: `test-${crypto.randomUUID()}:` }
}
