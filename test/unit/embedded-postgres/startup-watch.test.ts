import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StartupWatch } from '../../../src/embedded-postgres/startup-watch.ts'

const LIMIT_MS = 60_000
const stuck = vi.fn()
let watch: StartupWatch

beforeEach(() => {
  vi.useFakeTimers()
  stuck.mockReset()
  watch = new StartupWatch({ stuck, silenceLimitMs: LIMIT_MS })
})
afterEach(() => void vi.useRealTimers())

/** Says each line and waits as long before the next. */
function say(ms: number, ...lines: string[]): void {
  for (const line of lines) {
    watch.line(line)
    vi.advanceTimersByTime(ms)
  }
}

test('a start that says nothing for too long is stuck', () => {
  vi.advanceTimersByTime(LIMIT_MS - 1)
  expect(stuck).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(stuck).toHaveBeenCalledExactlyOnceWith(LIMIT_MS)
})

test('one that goes on speaking may take as long as it likes', () => {
  say(LIMIT_MS - 1, ...Array(100).fill('LOG:  redo in progress, elapsed time: 10.00 s, current LSN: 0/1'))
  expect(stuck).not.toHaveBeenCalled()
})

test('a server that is ready may be silent for ever', () => {
  say(1e9, 'LOG:  database system is ready to accept connections', 'LOG:  checkpoint starting: time')
  expect(stuck).not.toHaveBeenCalled()
})

test('from a crash of one of its processes on it is watched again, until it is ready', () => {
  say(0, 'LOG:  database system is ready to accept connections')
  say(LIMIT_MS - 1, 'LOG:  terminating any other active server processes', 'LOG:  redo starts at 0/1')
  expect(stuck).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(stuck).toHaveBeenCalledOnce()
})

test.each(['was terminated by signal 6: Aborted', 'exited with exit code 1'])(
  'when its start-up process %s, the server has ten seconds to follow',
  (how) => {
    say(9_999, `LOG:  startup process (PID 7) ${how}`)
    expect(stuck).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(stuck).toHaveBeenCalledExactlyOnceWith(10_000)
  },
)

test('a server that has ended is watched no more', () => {
  watch.end()
  vi.advanceTimersByTime(1e9)
  expect(stuck).not.toHaveBeenCalled()
})
