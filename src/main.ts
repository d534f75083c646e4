import { startApp } from './app.ts'
import { ConfigError, loadConfig } from './config.ts'
import { createLogger } from './telemetry/logger.ts'
import { startWorkers, WORKER_ARGUMENT } from './workers.ts'

interface Running {
  stop(): Promise<void>
}

const config = readConfig()
const logger = createLogger(config.log.level)
const isWorker = process.argv.includes(WORKER_ARGUMENT)

process.on('uncaughtException', (error) => {
  logger.fatal({ err: error }, 'a bug: leaving at once, unanswered sends are the clients to repeat')
  process.exit(1)
})

let stopping = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // A service manager may signal all processes of a service, and the supervisor its workers again. Only its own end,
    // after a second signal to it, tells a worker that drains to leave at once.
    if (!isWorker || !stopping) stop(signal)
  })
}
if (isWorker) process.on('disconnect', () => stop('supervisor gone'))

const running = start()
running.catch((error: unknown) => {
  logger.fatal({ err: error }, 'could not start')
  process.exit(1)
})

async function start(): Promise<Running> {
  if (config.workers > 1 && !isWorker) return startWorkers(config, logger)
  const app = await startApp(config, logger)
  logger.info({ host: config.http.host, port: app.port, tls: config.http.tls !== undefined }, 'listening')
  return app
}

function stop(reason: string): void {
  if (stopping) process.exit(1)
  stopping = true
  logger.info({ reason }, 'draining')
  setTimeout(() => process.exit(1), config.shutdown.timeoutMs).unref()
  running
    .then((app) => app.stop())
    .then(() => {
      logger.info({}, 'stopped')
      process.exit(0)
    })
    .catch((error: unknown) => {
      logger.fatal({ err: error }, 'could not drain')
      process.exit(1)
    })
}

function readConfig() {
  try {
    return loadConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(78)
  }
}
