// A real Redis, or Valkey, for the tests: one for the whole run, and servers of their own for tests that break them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import { within } from './deadline.ts'
import { installedProgram } from './installed-program.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the run's Redis. Shared: take a prefix of your own, and never flush it. */
    redisUrl: string
  }
}

/** The packaged daemon is not started at run level 1. */
const REDIS = { programs: ['redis-server', 'valkey-server'], package: 'redis-server', env: { RUNLEVEL: '1' } }

/** Below the ports that the system hands out by itself, so that a server finds its port free when it starts again. */
const PORTS = { first: 20_000, count: 10_000 }
const START_ATTEMPTS = 20

/** Ends the server when the test's process dies without stopping it: only that process holds the other end of the pipe. */
const WATCHDOG = `trap '' HUP INT TERM; read -r farewell || kill -s KILL "$1" 2>/dev/null; [ "$farewell" ] || rm -rf "$2"`

export class RedisServer {
  readonly #program: string
  readonly #dir: string
  readonly #settings: readonly string[]
  #port = 0
  #child: ChildProcess | undefined
  #watchdog: ChildProcess | undefined

  private constructor(program: string, dir: string, settings: readonly string[]) {
    this.#program = program
    this.#dir = dir
    this.#settings = settings
  }

  /** `settings` as on the command line, such as `['--requirepass', 'secret']`. */
  static async start(settings: readonly string[] = []): Promise<RedisServer> {
    const program = await installedProgram(REDIS)
    const server = new RedisServer(program, await mkdtemp(join(tmpdir(), 'messaging-redis-')), settings)
    for (let attempt = 1; ; attempt += 1) {
      server.#port = PORTS.first + Math.floor(Math.random() * PORTS.count)
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
    return `redis://127.0.0.1:${this.#port}`
  }

  /** Starts it, empty, on the same port. */
  async startAgain(): Promise<void> {
    const fixed = ['--port', String(this.#port), '--bind', '127.0.0.1', '--dir', this.#dir]
    const volatile = ['--save', '', '--appendonly', 'no', '--daemonize', 'no']
    const child = spawn(this.#program, [...fixed, ...volatile, ...this.#settings], {
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
        if (line.includes('Ready to accept connections')) resolve()
      })
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`Redis ended:\n${lines.slice(-5).join('\n')}`)))
    })
    ready.catch(() => this.#dismiss())
    await within(ready, () => `Redis: ${lines.slice(-5).join('\n')}`)
  }

  /** Runs one command on a connection of its own. */
  async run(command: string, ...args: (string | number)[]): Promise<unknown> {
    const redis = new Redis(this.url, { maxRetriesPerRequest: 0, retryStrategy: () => null, ...this.#password() })
    redis.on('error', () => undefined)
    try {
      return await redis.call(command, ...args)
    } finally {
      redis.disconnect()
    }
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
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    this.#dismiss()
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
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
export function sharedRedis(): { readonly url: string; readonly prefix: string } {
  return { url: inject('redisUrl'), prefix: `test-${crypto.randomUUID()}:` }
}
