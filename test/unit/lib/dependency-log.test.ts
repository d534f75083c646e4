import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, test } from 'vitest'
import { DependencyLog } from '../../../src/lib/dependency-log.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let clock: FakeClock
let told: string[]
let debugged: number
let log: DependencyLog

beforeEach(() => {
  clock = new FakeClock()
  told = []
  debugged = 0
  const tell = (fields: object, msg: string): void => {
    told.push('reason' in fields ? `${msg}: ${fields.reason}` : msg)
  }
  const debug = (): void => {
    debugged += 1
  }
  log = new DependencyLog({ dependency: 'Redis', clock, logger: { ...silentLogger, debug, warn: tell, info: tell } })
})

test('a reason is told once, however often, how long and by however many parts it is met', async () => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    log.failed('commands', new Error('refused'))
    log.failed('subscriber', new Error('refused'))
    await clock.advance(1_000)
  }
  expect(told).toEqual(['Redis fails: refused'])
  expect(debugged).toBe(200)
})

test('another reason is told, and that it works again once, when all parts do', () => {
  log.failed('commands', new Error('refused'))
  log.failed('subscriber', new Error('wrong password'))
  expect(log.reasons).toEqual(['refused', 'wrong password'])
  log.works('commands')
  expect(told).toEqual(['Redis fails: refused', 'Redis fails: wrong password'])
  log.works('subscriber')
  log.works('subscriber')
  expect(told.slice(2)).toEqual(['Redis works again'])
  expect(log.reasons).toEqual([])
})

test('a reason that comes back after another one is told again', async () => {
  log.failed('commands', new Error('refused'))
  await clock.advance(60_000)
  log.failed('commands', new Error('timeout'))
  log.failed('commands', new Error('refused'))
  expect(told).toEqual(['Redis fails: refused', 'Redis fails: timeout', 'Redis fails: refused'])
})

test('what comes and goes is told every ten seconds at most, and what then stays is told', async () => {
  for (let time = 0; time < 100; time += 1) {
    log.failed('commands', new Error('refused'))
    log.works('commands')
    await clock.advance(100)
  }
  expect(told).toEqual(['Redis fails: refused', 'Redis works again'])
  log.failed('commands', new Error('refused'))
  expect(told.slice(2)).toEqual(['Redis fails: refused'])
  log.works('commands')
  log.failed('commands', new Error('refused'))
  expect(told.slice(3)).toEqual(['Redis works again'])
  await clock.advance(10_000)
  log.failed('commands', new Error('refused'))
  expect(told.slice(4)).toEqual(['Redis fails: refused'])
})

test('what never failed does not work again', () => {
  log.works('commands')
  expect(told).toEqual([])
})

test('an error without a message of its own is told by what lies in it', () => {
  log.failed('commands', new AggregateError([new Error('connect ECONNREFUSED ::1:6379'), new Error('other')]))
  log.failed('subscriber', Object.assign(new Error(''), { code: 'ETIMEDOUT' }))
  expect(told).toEqual(['Redis fails: connect ECONNREFUSED ::1:6379', 'Redis fails: ETIMEDOUT'])
})

test('every part of the service that is told to fail is also told to work again', () => {
  const src = fileURLToPath(new URL('../../../src/', import.meta.url))
  const partsIn = (text: string, what: string): string[] =>
    [...text.matchAll(new RegExp(`health\\.${what}\\(\\s*('[^']*'|[\\w.]+)`, 'g'))].map(([, part = '']) => part)
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  const texts = files.map((path) => ({ path, text: readFileSync(src + path, 'utf8') }))
  const failing = texts.flatMap(({ path, text }) => partsIn(text, 'failed').map((part) => ({ path, part, text })))
  expect(failing.length).toBeGreaterThan(15)
  const lasting = failing.filter(({ part, text }) => !partsIn(text, 'works').includes(part))
  expect(lasting.map(({ path, part }) => `${path}: ${part}`)).toEqual([])
})
