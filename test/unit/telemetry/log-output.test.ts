import { execFileSync } from 'node:child_process'
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { errorCode } from '../../../src/lib/errors.ts'
import { openLogOutput } from '../../../src/telemetry/log-output.ts'
import { fullPipe } from '../../support/full-pipe.ts'

const LINE = `${'x'.repeat(1023)}\n`
/** Twice what may wait. */
const MANY = 2048

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'messaging-log-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function pipe(flags: number): number {
  const path = join(directory, 'pipe')
  execFileSync('mkfifo', [path])
  return openSync(path, flags)
}

/** Takes what is in a pipe. */
function take(fd: number): string {
  const chunk = Buffer.alloc(64 * 1024)
  try {
    return chunk.subarray(0, readSync(fd, chunk)).toString()
  } catch (error) {
    if (errorCode(error) !== 'EAGAIN') throw error
    return ''
  }
}

const turn = () => new Promise<boolean>((resolve) => setImmediate(() => resolve(false)))

describe('a pipe', () => {
  test('that nobody reads takes up to a mebibyte, and then lines are dropped and counted', async () => {
    const output = openLogOutput(fullPipe())
    for (let line = 0; line < MANY; line += 1) output.write(LINE)
    await output.settled(1)
    expect(output.droppedLines()).toBe(MANY / 2)
  })

  test('that is read late gets every line that waited, whole and in order', async () => {
    const fd = fullPipe()
    const output = openLogOutput(fd)
    const lines = Array.from({ length: 500 }, (_, index) => `${index} ${LINE}`)
    for (const line of lines) output.write(line)
    let text = ''
    const settled = output.settled(20_000).then(() => {
      text += take(fd)
      return true
    })
    do text += take(fd)
    while (!(await Promise.race([settled, turn()])))
    expect(text.trimStart()).toBe(lines.join(''))
    expect(output.droppedLines()).toBe(0)
  })

  test('whose reader has gone drops and counts every line', async () => {
    const reader = pipe(constants.O_RDONLY | constants.O_NONBLOCK)
    const output = openLogOutput(openSync(join(directory, 'pipe'), constants.O_WRONLY | constants.O_NONBLOCK))
    output.write(LINE)
    await output.settled(20_000)
    expect(output.droppedLines()).toBe(0)
    closeSync(reader)
    for (let line = 0; line < 3; line += 1) output.write(LINE)
    await output.settled(20_000)
    output.write(LINE)
    await turn()
    expect(output.droppedLines()).toBe(4)
  })

  test.skipIf(!existsSync('/proc/self/fdinfo'))('shared with other processes goes on waiting for them', () => {
    const fd = pipe(constants.O_RDWR)
    openLogOutput(fd).write(LINE)
    const flags = Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8)
    expect(flags & constants.O_NONBLOCK).toBe(0)
  })
})

describe('a file', () => {
  test('has every line when the output is settled', async () => {
    const path = join(directory, 'log')
    const output = openLogOutput(openSync(path, 'a'))
    for (let line = 0; line < 500; line += 1) output.write(`${line}\n`)
    await output.settled(10_000)
    expect(readFileSync(path, 'utf8')).toBe(Array.from({ length: 500 }, (_, line) => `${line}\n`).join(''))
    expect(output.droppedLines()).toBe(0)
  })

  test('has the last line of a process that ends within the call', () => {
    const path = join(directory, 'log')
    const output = openLogOutput(openSync(path, 'a'))
    // The first is written by a thread.
    output.write('first\n')
    output.write('a bug\n')
    output.flushNow()
    expect(readFileSync(path, 'utf8')).toContain('a bug\n')
  })

  test('on a full disk drops and counts what cannot wait, and fails nobody', async () => {
    const output = openLogOutput(openSync('/dev/full', 'w'))
    for (let line = 0; line < MANY; line += 1) output.write(LINE)
    await output.settled(10_000)
    output.flushNow()
    expect(output.droppedLines()).toBe(MANY / 2)
  })
})
