import { startApp } from './app.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { createLogger, type RootLogger } from './telemetry/logger.ts'
import { startWorkers } from './workers.ts'

interface Running {
  stop(): Promise<void>
}

export type Stop = (reason: NodeJS.Signals | 'supervisor gone') => void

/** A start may wait for another instance or a database as long as it likes, but whoever ends it does not wait with it. */
const START_GRACE_MS = 1_000

/** Starts what the configuration asks for, and returns how to stop it; ends the process after that, or when it fails. */
export function run(isWorker: boolean): Stop {
  const config = readConfig()
  const logger = createLogger(config.log.level)
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'a bug: leaving at once, unanswered sends are the clients to repeat')
    process.exit(1)
  })

  let hasStarted = false
  let isStopping = false
  const running = start(config, logger, isWorker).then((app) => {
    hasStarted = true
    return app
  })
  running.catch((error: unknown) => {
    logger.fatal({ err: error }, 'could not start')
    process.exit(isStopping ? 0 : 1)
  })

  return (reason) => {
    if (isStopping) {
      // A service manager may signal all processes of a service, and the supervisor its workers again. Only its own end,
      // after a second signal to it, tells a worker that drains to leave at once.
      if (isWorker && reason !== 'supervisor gone') return
      process.exit(1)
    }
    isStopping = true
    logger.info({ reason }, 'draining')
    setTimeout(() => process.exit(hasStarted ? 1 : 0), config.shutdown.timeoutMs).unref()
    setTimeout(() => {
      if (!hasStarted) leave(logger)
    }, START_GRACE_MS).unref()
    void running.then((app) => drain(app, logger))
  }
}

async function start(config: Config, logger: RootLogger, isWorker: boolean): Promise<Running> {
  if (config.workers > 1 && !isWorker) return startWorkers(config, logger)
  const app = await startApp(config, logger)
  logger.info({ host: config.http.host, port: app.port, tls: config.http.tls !== undefined }, 'listening')
  return app
}

async function drain(app: Running, logger: RootLogger): Promise<void> {
  try {
    await app.stop()
    leave(logger)
  } catch (error) {
    logger.fatal({ err: error }, 'could not drain')
    process.exit(1)
  }
}

function leave(logger: RootLogger): void {
  logger.info({}, 'stopped')
  process.exit(0)
}

function readConfig(): Config {
  try {
    return loadConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(78)
  }
}
