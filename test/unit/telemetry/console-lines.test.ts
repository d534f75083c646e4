import { expect, test } from 'vitest'
import { consoleLines } from '../../../src/telemetry/console-lines.ts'
import { createLogger, type RootLogger } from '../../../src/telemetry/logger.ts'
import { outputTo } from '../../support/log-lines.ts'

/** What a person reads of what `log` logs; without the time. */
function read(log: (logger: RootLogger) => void, level: 'info' | 'debug' = 'info', fields: object = {}): string {
  let text = ''
  const output = outputTo((line) => {
    text += line.replace(/^\[\d\d:\d\d:\d\d\.\d{3}\] /, '')
  })
  log(createLogger({ level, format: 'pretty', fields, output }))
  return text
}

test('a line is a sentence with what else is known', () => {
  expect(read((logger) => logger.info({ reason: 'SIGTERM', after_ms: 20 }, 'draining'))).toBe(
    'INFO: draining reason=SIGTERM after_ms=20\n',
  )
})

test('text with spaces and objects are told apart from the next field', () => {
  expect(read((logger) => logger.warn({ reason: 'not there', names: ['a', 'b'] }, 'failed'))).toBe(
    'WARN: failed reason="not there" names=["a","b"]\n',
  )
})

test('the worker stands before the sentence, and the instance not at all', () => {
  const fields = { worker: 3, instance: 'e8c0' }
  expect(read((logger) => logger.info({}, 'stopped'), 'info', fields)).toBe('INFO: [worker 3] stopped\n')
})

test('an error is one sentence with its cause, and only at debug its stack', () => {
  const error = new Error('cannot connect', { cause: new Error('ECONNREFUSED') })
  const log = (logger: RootLogger) => logger.error({ err: error }, 'a read failed')
  expect(read(log)).toBe('ERROR: a read failed: cannot connect (ECONNREFUSED)\n')
  expect(read(log, 'debug')).toMatch(
    /^ERROR: a read failed: cannot connect \(ECONNREFUSED\)\n +at .*console-lines\.test/,
  )
})

test('a bug shows where it is at every level', () => {
  const error = new TypeError('x is undefined')
  const text = read((logger) => logger.error({ err: error, stack: error.stack }, 'a bug'))
  expect(text).toMatch(/^ERROR: a bug: x is undefined\n +at .*console-lines\.test/)
})

test('what others send cannot steer the terminal', () => {
  const text = read((logger) =>
    logger.warn({ name: '\u001b[2J', err: new Error('a\u001b]0;owned\u0007\nb') }, 'failed'),
  )
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  expect(text.trimEnd()).not.toContain('\n')
})

test('colours are for terminals only', () => {
  const line = JSON.stringify({ level: 'info', msg: 'listening' })
  expect(consoleLines({ hasColors: false, showsStacks: false })(line)).toBe('INFO: listening\n')
  expect(consoleLines({ hasColors: true, showsStacks: false })(line)).toContain('\u001b[32mINFO')
})
