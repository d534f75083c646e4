import pino from 'pino'
import type { Logger } from '../lib/logger.ts'

export type LogLevel = pino.LevelWithSilent

/** Fields that can carry a secret or what people write to each other; they never reach the log, wherever they hang. */
const SECRET = ['content', 'token', 'ticket', 'password', 'authorization', 'dsn', 'connectionString', 'detail', 'where']
const REDACTED = SECRET.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

export interface RootLogger extends Logger {
  fatal(fields: object, msg: string): void
  /** Writes what is still buffered. */
  flush(): void
}

/** JSON lines on standard output, written synchronously: what is logged before a crash is seen. */
export function createLogger(level: LogLevel, destination?: pino.DestinationStream): RootLogger {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: REDACTED, remove: true },
  }
  return destination ? pino(options, destination) : pino(options)
}
