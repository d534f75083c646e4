import { randomUUID } from 'node:crypto'
import type { App } from './app.ts'
import { type Config, ConfigError, isStartedByNpm, loadConfig, WRONG_CONFIGURATION } from './config.ts'
import { systemClock } from './lib/clock.ts'
import { openLogOutput } from './telemetry/log-output.ts'
import { createLogger, type RootLogger } from './telemetry/logger.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { ToWorker } from './telemetry/metrics-hub.ts'
import { WorkerMetrics } from './telemetry/worker-metrics.ts'
import { SERVES, startWorkers, type Workers } from './workers.ts'

type Reason = NodeJS.Signals | 'supervisor gone' | 'npm gone'

/** What signals do to the process. */
export interface Control {
  /** Drains and ends the process; asked again a moment later, ends it at once. */
  stop(reason: Reason): void
  /** Reads certificate and key again. */
  reload(): void
  /** For a signal without a meaning here. */
  ignored(signal: NodeJS.Signals): void
}

/** A start may wait for another instance or a database as long as it likes, but a signal to end does not wait with it. */
const START_GRACE_MS = 1_000
/**
 * Signals within this time of the first are the same wish, told twice: npm passes on what a whole process group was sent,
 * and people press Ctrl-C again by mistake.
 */
const SAME_WISH_MS = 1_000
/** The end of the process waits no longer for somebody to read the last lines of its log. */
const LAST_LINES_MS = 500
const PARENT_CHECK_MS = 250
const STDERR = 2

/** Starts what the configuration asks for; ends the process when it is stopped, or when that fails. */
export function run(worker: number | undefined): Control {
  const config = readConfig()
  if (!config)
    return { stop: () => process.exit(WRONG_CONFIGURATION), reload: () => undefined, ignored: () => undefined }
  const instanceId = randomUUID()
  // The supervisor is no instance.
  const isSupervisor = config.workers > 1 && worker === undefined
  const fields = { ...(worker !== undefined && { worker }), ...(!isSupervisor && { instance: instanceId }) }
  const logger = createLogger({ ...config.log, fields })
  logWhatNodeSays(logger)
  // Once, however many workers there are.
  if (worker === undefined && config.unused.length > 0) {
    logger.warn({ variables: config.unused, auth: config.auth.mode }, 'variables are set that this AUTH does not use')
  }
  const start = async (): Promise<App | Workers> => {
    if (isSupervisor) return startWorkers(config, logger)
    // A supervisor does without.
    const { startApp } = await import('./app.ts')
    const app = await startApp(config, logger, instanceId, {
      isFirst: worker === undefined || worker === 0,
      ...(worker !== undefined && { metricsOfAll }),
    })
    logger.info(
      { url: app.url, host: config.http.host, port: app.port, tls: config.http.tls !== undefined },
      'listening',
    )
    if (worker !== undefined) process.send?.(SERVES, undefined, undefined, () => undefined)
    return app
  }
  const lifetime = new Lifetime({ logger, isWorker: worker !== undefined, timeoutMs: config.shutdown.timeoutMs, start })
  if (isStartedByNpm() && worker === undefined) whenParentEnds(() => lifetime.stop('npm gone'))
  return lifetime
}

interface LifetimeOptions {
  readonly logger: RootLogger
  readonly isWorker: boolean
  /** Longest drain; milliseconds. */
  readonly timeoutMs: number
  start(): Promise<App | Workers>
}

/** The process from its start to its end: it ends exactly once, also when several signals come together. */
class Lifetime implements Control {
  readonly #options: LifetimeOptions
  readonly #running: Promise<App | Workers>
  #hasStarted = false
  #stoppingSinceMs: number | undefined

  constructor(options: LifetimeOptions) {
    this.#options = options
    this.#running = options.start()
    const failed = (error: unknown): void => {
      options.logger.fatal({ err: error }, 'could not start')
      this.#leave(this.#stoppingSinceMs === undefined ? 1 : 0)
    }
    this.#running.then((running) => {
      this.#hasStarted = true
      if ('gaveUp' in running) void running.gaveUp.then(failed)
    }, failed)
  }

  stop(reason: Reason): void {
    const { logger, timeoutMs } = this.#options
    if (this.#stoppingSinceMs !== undefined) return this.#stopAgain(reason, this.#stoppingSinceMs)
    this.#stoppingSinceMs = performance.now()
    logger.info({ reason }, 'draining')
    setTimeout(() => process.exit(this.#hasStarted ? 1 : 0), timeoutMs).unref()
    setTimeout(() => {
      if (this.#hasStarted) logger.info({}, 'still draining; one more signal ends it at once')
    }, SAME_WISH_MS).unref()
    setTimeout(() => {
      if (!this.#hasStarted) this.#stopped()
    }, START_GRACE_MS).unref()
    void this.#running.then((running) => this.#drain(running))
  }

  reload(): void {
    this.#running.then((running) => running.reloadCertificate()).catch(() => undefined) // a failed start is told elsewhere
  }

  ignored(signal: NodeJS.Signals): void {
    this.#options.logger.info({ signal }, 'a signal without a meaning is ignored')
  }

  #stopAgain(reason: Reason, sinceMs: number): void {
    // A service manager may signal all processes of a service, and the supervisor its workers again. Only its own end,
    // after a second signal to it, tells a worker that drains to leave at once.
    if (this.#options.isWorker) return reason === 'supervisor gone' ? process.exit(1) : undefined
    if (reason === 'npm gone' || performance.now() - sinceMs < SAME_WISH_MS) return
    process.exit(1)
  }

  async #drain(running: App | Workers): Promise<void> {
    try {
      await running.stop()
      this.#stopped()
    } catch (error) {
      this.#options.logger.fatal({ err: error }, 'could not drain')
      this.#leave(1)
    }
  }

  #stopped(): void {
    this.#options.logger.info({}, 'stopped')
    this.#leave(0)
  }

  #leave(code: number): void {
    void this.#options.logger.settled(LAST_LINES_MS).then(() => process.exit(code))
  }
}

/** Over the channel to the supervisor, which asks every worker. */
function metricsOfAll(own: Pick<Metrics, 'snapshot'>): () => Promise<string> {
  const shared = new WorkerMetrics({
    snapshot: () => own.snapshot(),
    // Without the channel nobody answers, and this process drains.
    send: (message) => void process.send?.(message, undefined, undefined, () => undefined),
    clock: systemClock,
  })
  process.on('message', (message: ToWorker) => shared.heard(message))
  return () => shared.text()
}

/** Node would write a warning to standard error itself, and wait until that is read. */
function logWhatNodeSays(logger: RootLogger): void {
  process.removeAllListeners('warning')
  process.on('warning', (warning) => logger.warn({ err: warning }, 'a warning of Node.js'))
  process.on('uncaughtException', (error) => {
    const { stack } = error
    logger.fatal({ err: error, stack }, 'a bug: leaving at once, unanswered sends are the clients to repeat')
    logger.flushNow()
    process.exit(1)
  })
}

/** npm ends at once on some signals and does not pass them on; the service must not stay behind with port and data. */
function whenParentEnds(listener: () => void): void {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    listener()
  }, PARENT_CHECK_MS)
  timer.unref()
}

/** Undefined when the configuration is wrong: then it says why and ends the process. */
function readConfig(): Config | undefined {
  try {
    return loadConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const output = openLogOutput(STDERR)
    output.write(`${error.message}\n`)
    void output.settled(LAST_LINES_MS).then(() => process.exit(WRONG_CONFIGURATION))
    return undefined
  }
}
