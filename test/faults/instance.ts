// One instance of the service as a process, with a bad link to each of its three neighbours.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../support/free-port.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import type { Cluster } from './cluster.ts'
import { PostgresProxy } from './postgres-proxy.ts'
import { TcpProxy } from './tcp-proxy.ts'

export interface InstanceOptions {
  readonly mainFile: string
  readonly cluster: Cluster
  readonly redis: RedisSetUp
  readonly database: string
  readonly prefix: string
  /** Its links to PostgreSQL and Redis cannot be broken, and cost nothing. */
  readonly isDirect?: boolean
  readonly env?: Readonly<Record<string, string>>
}

/** As `npm start` and the image start it. */
const NODE_OPTIONS = ['--max-semi-space-size=32']
const START_LIMIT_MS = 60_000
const KEPT_LINES = 30
const LOOK_INTERVAL_MS = 50

export class Instance {
  /** Its clients come through here, wherever it listens. */
  readonly clients: TcpProxy
  readonly postgres: PostgresProxy
  readonly redis: TcpProxy
  readonly #options: InstanceOptions
  #child: ChildProcess | undefined
  #port = 0
  #isExpectedToEnd = false
  #lines: string[] = []
  /** Ended although nobody asked, or said that it met a bug. */
  readonly surprises: string[] = []
  kills = 0
  /** A file descriptor that its log goes to from its next start on, at debug; without one it is read here. */
  logsTo: number | undefined

  private constructor(options: InstanceOptions) {
    const { cluster, redis } = options
    this.#options = options
    this.clients = new TcpProxy(() => (this.#port === 0 ? undefined : { host: '127.0.0.1', port: this.#port }))
    this.postgres = new PostgresProxy(() => (cluster.socketPath ? { path: cluster.socketPath } : undefined))
    this.redis = new TcpProxy(() => (redis.port === undefined ? undefined : { host: '127.0.0.1', port: redis.port }))
  }

  static async create(options: InstanceOptions): Promise<Instance> {
    const instance = new Instance(options)
    await Promise.all([instance.clients.listen(), instance.postgres.listen(), instance.redis.listen()])
    return instance
  }

  get port(): number {
    return this.clients.port
  }
  /** Without a proxy, and another one after each start. */
  get directPort(): number {
    return this.#port
  }
  get isRunning(): boolean {
    return this.#child !== undefined
  }
  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Starts it, again and again until it listens: whatever it needs may be away at the moment. */
  async startAgain(): Promise<void> {
    for (let attempt = 0; !this.#child; attempt += 1) {
      if (attempt > 20) throw new Error(`an instance does not start:\n${this.#lines.join('\n')}`)
      await this.#start()
    }
  }

  async kill(): Promise<void> {
    if (this.#child) this.kills += 1
    await this.#end('SIGKILL')
  }

  /** Drains; resolves with the exit code. */
  async drain(): Promise<number | null> {
    const child = this.#child
    await this.#end('SIGTERM')
    return child?.exitCode ?? null
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }
  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Ends every bad link of its. */
  heal(): void {
    this.thaw()
    for (const link of [this.clients, this.postgres, this.redis]) link.set({})
    this.postgres.forgetCuts()
    this.postgres.holdCommits(() => 0)
  }

  async isReady(): Promise<boolean> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}/readyz`, { signal: AbortSignal.timeout(10_000) }).catch(
      () => undefined,
    )
    return answer?.status === 200
  }

  /** One number of /metrics; `name` with its labels. */
  async metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}/metrics`, { signal: AbortSignal.timeout(10_000) })
    const line = (await answer.text()).split('\n').find((one) => one.startsWith(`${name} `))
    return Number(line?.slice(name.length + 1) ?? 0)
  }

  async close(): Promise<void> {
    this.heal()
    await this.#end('SIGKILL')
    await Promise.all([this.clients.close(), this.postgres.close(), this.redis.close()])
  }

  async #start(): Promise<void> {
    const { mainFile, cluster, redis, database, prefix, isDirect = false, env } = this.#options
    const { logsTo } = this
    // Without its log nobody learns which port it took.
    const ownPort = logsTo === undefined ? 0 : await freePort()
    const child = spawn(process.execPath, [...NODE_OPTIONS, mainFile], {
      env: {
        PORT: String(ownPort),
        ...(logsTo !== undefined && { LOG_LEVEL: 'debug' }),
        POSTGRES_DSN: isDirect ? cluster.socketDsn(database) : cluster.dsn(this.postgres.port, database),
        // Several servers tell each other's addresses, so nothing can stand before them.
        ...(isDirect || redis.port === undefined ? redis.env : { REDIS_ADDR: `127.0.0.1:${this.redis.port}` }),
        REDIS_PREFIX: prefix,
        DRAIN_RECONNECT_SPREAD_MS: '500',
        MAX_CONNECTIONS_PER_USER: '50',
        ...env,
      },
      stdio: ['ignore', logsTo ?? 'pipe', 'pipe'],
    })
    this.#isExpectedToEnd = false
    const orphaned = (): void => void child.kill('SIGKILL')
    process.once('exit', orphaned)
    child.once('exit', () => process.off('exit', orphaned))
    child.stderr?.on('data', (text: Buffer) => this.#said(text.toString()))
    const listening = new Promise<number | undefined>((resolve) => {
      child.once('exit', () => resolve(undefined))
      setTimeout(() => resolve(undefined), START_LIMIT_MS).unref()
      if (!child.stdout) return void untilListening(child, ownPort).then(resolve)
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.#said(line)
        if (line.includes('"msg":"listening"')) resolve(Number(JSON.parse(line).port))
      })
    })
    const port = await listening
    if (port === undefined) return void child.kill('SIGKILL')
    this.#child = child
    this.#port = port
    child.once('exit', (code, signalName) => this.#exited(child, code, signalName))
    if (child.exitCode !== null) this.#exited(child, child.exitCode, null)
  }

  #exited(child: ChildProcess, code: number | null, signalName: NodeJS.Signals | null): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#port = 0
    if (!this.#isExpectedToEnd) {
      this.surprises.push(`ended with ${code ?? signalName}: ${this.#lines.slice(-5).join(' | ')}`)
    }
  }

  #said(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length > KEPT_LINES) this.#lines.shift()
    // One that cannot start, because what it needs is away, says so and is started again.
    const isRunning = this.#child !== undefined
    if (isRunning && /"level":"(error|fatal)"/.test(line)) this.surprises.push(line.slice(0, 600))
  }

  async #end(name: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#isExpectedToEnd = true
    const exited = once(child, 'exit')
    child.kill(name)
    await exited
  }
}

/** Resolves with the port, or undefined when the process ends first. */
async function untilListening(child: ChildProcess, port: number): Promise<number | undefined> {
  while (child.exitCode === null && child.signalCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)
    if (answer?.ok) return port
    await delay(LOOK_INTERVAL_MS)
  }
  return undefined
}
