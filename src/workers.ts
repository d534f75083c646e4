import { type ChildProcess, fork } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Config, environmentWith } from './config.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres/embedded-postgres.ts'
import { systemClock } from './lib/clock.ts'
import type { Logger } from './lib/logger.ts'
import { RestartPolicy } from './lib/restart-policy.ts'
import { connectionsFor } from './postgres/database.ts'
import { type FromWorker, MetricsHub } from './telemetry/metrics-hub.ts'
import { loadUws } from './transport/uws.ts'
import { WORKER_ARGUMENT } from './worker-argument.ts'

export interface Workers {
  /** Drains all; resolves when the last has ended, and rejects if one of them ended before it was drained. */
  stop(): Promise<void>
  /** Each of them reads certificate and key again. */
  reloadCertificate(): void
  /** Resolves with why, once they were given up: each has ended again and again, and none has ever served. Nothing runs any more then. */
  readonly gaveUp: Promise<Error>
}

/** What a worker says when it listens. */
export const SERVES = 'serves'

/** So often each may end while none has served yet: of what all of them meet at their start another try changes nothing. */
const MAX_STARTS = 3

/** Runs several processes on one port, the kernel spreading connections over them, and replaces those that die. */
export async function startWorkers(config: Config, logger: Logger): Promise<Workers> {
  // Says that this machine has no binary before a database is made, and not each worker again and again.
  loadUws()
  await requireFreePort(config.http)
  return new Supervisor(config.workers, logger, await startOwnPostgres(config, logger))
}

function startOwnPostgres({ postgres, workers }: Config, logger: Logger): Promise<EmbeddedPostgres> | undefined {
  if (postgres.dsn !== undefined) return undefined
  return startEmbeddedPostgres({
    dataDir: postgres.dataDir,
    connections: workers * connectionsFor(postgres.poolMax),
    logger,
  })
}

/** Workers share the port with anybody who also shares it, so a foreign server has to be noticed beforehand. */
function requireFreePort({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error) => reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`)))
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()))
  })
}

type End = { readonly err: unknown } | { readonly code: number | null; readonly signal: NodeJS.Signals | null }

function wasCutOff(how: End): boolean {
  // One that never ran had nothing to drain. Nor had one that our SIGTERM ended by itself: the first thing that a worker
  // does is to handle that.
  return 'code' in how && how.code !== 0 && how.signal !== 'SIGTERM'
}

class Supervisor implements Workers {
  readonly gaveUp: Promise<Error>
  readonly #logger: Logger
  readonly #own: EmbeddedPostgres | undefined
  readonly #running = new Map<number, ChildProcess>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #metrics = new MetricsHub(systemClock)
  /** By worker, how often it has ended; undefined once one of them has served. */
  #failures: number[] | undefined
  #giveUp: (why: Error) => void = () => undefined
  #isStopping = false
  #undrained = 0
  #allEnded: (() => void) | undefined
  #ending: Promise<void> | undefined

  constructor(count: number, logger: Logger, own: EmbeddedPostgres | undefined) {
    this.#logger = logger
    this.#own = own
    this.#failures = Array.from({ length: count }, () => 0)
    this.gaveUp = new Promise((resolve) => {
      this.#giveUp = resolve
    })
    for (let index = 0; index < count; index += 1) this.#start(index, new RestartPolicy())
  }

  async stop(): Promise<void> {
    await this.#end()
    if (this.#undrained > 0) throw new Error(`${this.#undrained} of the workers ended before they were drained`)
  }

  reloadCertificate(): void {
    for (const child of this.#running.values()) child.kill('SIGHUP')
  }

  #end(): Promise<void> {
    this.#ending ??= this.#endAll()
    return this.#ending
  }

  async #endAll(): Promise<void> {
    this.#isStopping = true
    for (const timer of this.#timers) clearTimeout(timer)
    const ended = new Promise<void>((resolve) => {
      this.#allEnded = resolve
    })
    for (const child of this.#running.values()) child.kill('SIGTERM')
    if (this.#running.size > 0) await ended
    await this.#own?.stop()
  }

  #start(index: number, policy: RestartPolicy): void {
    policy.started()
    const ended = (how: End): void => {
      this.#running.delete(index)
      this.#metrics.left(index)
      if (this.#isStopping) return this.#endedWhileStopping(index, how)
      if (this.#isHopeless(index)) return this.#endHopeless(index, how)
      const delayMs = policy.ended()
      this.#logger.error({ worker: index, ...how, delay_ms: delayMs }, 'a worker ended unasked and is replaced')
      this.#later(delayMs, () => this.#start(index, policy))
    }
    let child: ChildProcess
    try {
      child = this.#fork(index)
    } catch (error) {
      // Of a system that has nothing left Node reports some answers by an event and throws the others, like ENOMEM.
      ended({ err: error })
      return
    }
    this.#running.set(index, child)
    this.#metrics.joined(index, (message) => void child.send(message, () => undefined))
    child.on('message', (message: FromWorker | typeof SERVES) => {
      if (message === SERVES) this.#failures = undefined
      else this.#metrics.heard(index, message)
    })
    child.once('spawn', () => this.#logger.info({ worker: index, pid: child.pid }, 'worker started'))
    child.once('exit', (code, signal) => ended({ code, signal }))
    // In place of both, when the system has no process left to give.
    child.once('error', (error) => ended({ err: error }))
  }

  #fork(index: number): ChildProcess {
    // A group of its own: Ctrl-C reaches the supervisor alone, which tells each worker once. When the supervisor dies the
    // channel between them closes, and the worker drains by itself.
    return fork(fileURLToPath(new URL('./main.js', import.meta.url)), [WORKER_ARGUMENT, String(index)], {
      detached: true,
      // A metric may be no number, which JSON does not know.
      serialization: 'advanced',
      env: environmentWith(this.#own ? { POSTGRES_DSN: this.#own.dsn } : {}),
    })
  }

  /** This worker has ended; whether none of them will ever serve. One that hangs in its start may yet. */
  #isHopeless(index: number): boolean {
    const failures = this.#failures
    if (!failures) return false
    failures[index] = (failures[index] ?? 0) + 1
    return failures.every((count) => count >= MAX_STARTS)
  }

  #endHopeless(index: number, how: End): void {
    this.#logger.error({ worker: index, ...how }, 'a worker ended before any has served')
    const why = new Error(`each worker ended ${MAX_STARTS} times before any has served, for the reason that it told`)
    const giveUp = (): void => this.#giveUp(why)
    // Whatever its own PostgreSQL makes of it.
    void this.#end().then(giveUp, giveUp)
  }

  #endedWhileStopping(index: number, how: End): void {
    // While none has served there is nothing to drain.
    if (wasCutOff(how) && this.#failures === undefined) {
      this.#undrained += 1
      this.#logger.error({ worker: index, ...how }, 'a worker ended before it was drained')
    }
    if (this.#running.size === 0) this.#allEnded?.()
  }

  #later(delayMs: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      task()
    }, delayMs)
    this.#timers.add(timer)
  }
}
