import { isatty } from 'node:tty'
import pino from 'pino'
import { errorCode } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { consoleLines } from './console-lines.ts'
import { type LogOutput, openLogOutput } from './log-output.ts'

export type LogLevel = pino.LevelWithSilent
export type LogFormat = 'auto' | 'json' | 'pretty'

const STDOUT = 1

/** Fields that can carry a secret or what people write to each other; they never reach the log, wherever they hang. */
const SECRET = ['content', 'token', 'ticket', 'password', 'authorization', 'dsn', 'connectionString', 'detail', 'where']
const REDACTED = SECRET.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
/** A shorter password may be part of any word; taking it out would spoil the log and tell what it is. */
const MIN_SECRET_LENGTH = 4
const HIDDEN = '[secret]'
/** Errors can be each other's cause in a circle. */
const MAX_CAUSES = 5

export interface RootLogger extends Logger {
  fatal(fields: object, msg: string): void
  /** Lines that could not be written so far. */
  droppedLines(): number
  /** Resolves when what was logged is written or given up, at the latest after `limitMs`. */
  settled(limitMs: number): Promise<void>
  /** Writes what waits as far as that takes no time; for a process that ends within this call. */
  flushNow(): void
}

export interface LoggerOptions {
  readonly level: LogLevel
  /** `pretty` is for people; `auto` chooses it when standard output is a terminal. */
  readonly format?: LogFormat
  /** Texts of the configuration that no line of any part may hold: passwords. */
  readonly secrets?: readonly string[]
  /** Fields of every line: which process writes it. */
  readonly fields?: object
  /** Standard output, if none is given. */
  readonly output?: LogOutput
}

/** Lines that say what they said before the last one was lost wait for so long at most; milliseconds. */
const LOOK_FOR_LOST_LINES_MS = 10_000

/** One line of JSON, or of text for people, for each call. It is written without waiting; see `LogOutput`. */
export function createLogger(options: LoggerOptions): RootLogger {
  const { level, format = 'json', secrets = [], fields = null, output = openLogOutput(STDOUT) } = options
  const streamWrite = hiderOf(secrets)
  const isTerminal = isatty(STDOUT)
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  const pretty = isPretty
    ? consoleLines({ hasColors: isTerminal, showsStacks: level === 'debug' || level === 'trace' })
    : undefined
  const log = pino(
    {
      level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, remove: true },
      serializers: { err: (error: unknown) => plainError(error) },
      ...(streamWrite && { hooks: { streamWrite } }),
    },
    { write: (line) => output.write(pretty ? pretty(line) : line) },
  )
  const logger: RootLogger = {
    debug: log.debug.bind(log),
    info: log.info.bind(log),
    warn: log.warn.bind(log),
    error: log.error.bind(log),
    fatal: log.fatal.bind(log),
    droppedLines: () => output.droppedLines(),
    settled: (limitMs) => output.settled(limitMs),
    flushNow: () => output.flushNow(),
  }
  tellOfLostLines(logger)
  return logger
}

/** A reader of the log must be able to see that it has holes. */
function tellOfLostLines(logger: RootLogger): void {
  let told = 0
  setInterval(() => {
    const lost = logger.droppedLines() - told
    told += lost
    if (lost > 0) logger.warn({ lines: lost }, 'lines of the log could not be written')
  }, LOOK_FOR_LOST_LINES_MS).unref()
}

interface PlainError {
  readonly type: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  readonly cause?: PlainError
}

/**
 * What a person needs of an error. Drivers hang much more on theirs: the command that was refused with its password, the
 * connection with all its settings and buffers.
 */
function plainError(error: unknown, depth = 0): PlainError | string {
  if (!(error instanceof Error)) return String(error)
  const code = errorCode(error)
  const cause = error.cause instanceof Error && depth < MAX_CAUSES ? plainError(error.cause, depth + 1) : undefined
  return {
    type: error.name,
    message: error.message,
    ...(code !== undefined && { code }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(typeof cause === 'object' && { cause }),
  }
}

/** Takes the secrets out of a whole line, as they stand in JSON; undefined when there is none to take out. */
function hiderOf(secrets: readonly string[]): ((line: string) => string) | undefined {
  const written = secrets
    .filter((secret) => secret.length >= MIN_SECRET_LENGTH)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
  if (written.length === 0) return undefined
  // A longer one first: a shorter one may be part of it.
  const texts = [...new Set(written)].sort((a, b) => b.length - a.length).map(escapeRegExp)
  // Whole words, and no names of fields: "pass" is part of many a harmless line.
  const pattern = new RegExp(`(?<=[^A-Za-z0-9]|\\\\[bfnrt])(?:${texts.join('|')})(?![A-Za-z0-9]|":)`, 'g')
  return (line) => line.replace(pattern, HIDDEN)
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
}
