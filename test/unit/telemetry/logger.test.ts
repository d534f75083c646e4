import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import { createLogger, type LoggerOptions } from '../../../src/telemetry/logger.ts'
import { outputTo } from '../../support/log-lines.ts'

const CANARY = 'can "ary/pass'

function logTo(lines: string[], options: Partial<LoggerOptions> = {}) {
  return createLogger({ level: 'trace', output: outputTo((line) => void lines.push(line)), ...options })
}

/** As drivers make them: the refused command, and a whole connection. */
function driverError(): Error {
  const client = { password: CANARY, config: { password: CANARY }, socket: { bytes: Buffer.from(CANARY) } }
  return Object.assign(new Error('WRONGPASS invalid'), {
    code: 'ECONNRESET',
    command: { name: 'auth', args: [CANARY] },
    client,
  })
}

test('of an error its name, message, code and stack are kept, and nothing that a driver hangs on it', () => {
  const lines: string[] = []
  const cause = new TypeError('inner')
  logTo(lines).warn({ err: Object.assign(driverError(), { cause }) }, 'failed')
  const { err } = JSON.parse(lines[0] ?? '')
  expect(err).toEqual({
    type: 'Error',
    message: 'WRONGPASS invalid',
    code: 'ECONNRESET',
    stack: expect.stringContaining('driverError'),
    cause: { type: 'TypeError', message: 'inner', stack: expect.any(String) },
  })
})

test('what is thrown and no error is told as text, and causes in a circle come to an end', () => {
  const lines: string[] = []
  const error = new Error('first')
  error.cause = error
  logTo(lines).warn({ err: 'a text' }, 'failed')
  logTo(lines).warn({ err: error }, 'failed')
  expect(JSON.parse(lines[0] ?? '').err).toBe('a text')
  expect(lines[1]?.match(/"message":"first"/g)?.length).toBeLessThan(10)
})

test('passwords of the configuration are taken out of every line, at every level and in every notation', () => {
  const lines: string[] = []
  const encoded = encodeURIComponent(CANARY)
  const { secrets } = loadConfig({
    POSTGRES_DSN: `postgres://ann:${encoded}@db/messages`,
    REDIS_ADDR: `redis://:${encoded}2@cache:6379`,
  }).log
  const logger = logTo(lines, { secrets })
  const texts = [CANARY, `${CANARY}2`, encoded, `redis://:${encoded}2@cache:6379`, `line\n${CANARY}\n`]
  for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) {
    for (const text of texts) {
      logger[level]({ err: new Error(text), reason: text }, 'failed')
      logger[level]({}, text)
    }
  }
  expect(lines).toHaveLength(50)
  for (const line of lines) {
    expect(line).toContain('[secret]')
    expect(line).not.toMatch(/ary|%22/)
    expect(() => JSON.parse(line)).not.toThrow()
  }
})

test('a password that is part of harmless words or the name of a field spoils no line', () => {
  const lines: string[] = []
  logTo(lines, { secrets: ['pass', 'level', 'a'] }).info({ passes: 1, at: 'level' }, 'the password was passed: pass')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'info',
    passes: 1,
    at: '[secret]',
    msg: 'the password was passed: [secret]',
  })
})

test('fields that carry secrets or texts never reach the log', () => {
  const lines: string[] = []
  logTo(lines).info({ content: CANARY, a: { token: CANARY, b: { password: CANARY } } }, 'done')
  expect(lines[0]).not.toContain('ary')
})
