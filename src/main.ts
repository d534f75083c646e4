import { startApp } from './app.ts'
import { ConfigError, loadConfig } from './config.ts'
import { createLogger } from './telemetry/logger.ts'

const config = readConfig()
const logger = createLogger(config.log.level)

process.on('uncaughtException', (error) => {
  logger.fatal({ err: error }, 'a bug: leaving at once, unanswered sends are the clients to repeat')
  process.exit(1)
})

let stopping = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(1)
    stopping = true
    void stop(signal)
  })
}

const app = startApp(config, logger)
app.then(
  ({ port }) => logger.info({ host: config.http.host, port, tls: config.http.tls !== undefined }, 'listening'),
  (error: unknown) => {
    logger.fatal({ err: error }, 'could not start')
    process.exit(1)
  },
)

async function stop(signal: string): Promise<void> {
  logger.info({ signal }, 'draining')
  setTimeout(() => process.exit(1), config.shutdown.timeoutMs).unref()
  await (await app).stop()
  logger.info({}, 'stopped')
  process.exit(0)
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
