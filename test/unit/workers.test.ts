import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { SERVES, startWorkers } from '../../src/workers.ts'
import { freePort } from '../support/free-port.ts'
import { silentLogger } from '../support/silent-logger.ts'

interface Trouble {
  readonly code: string
  make(): void
  end(): void
}

const { execPath } = process

async function configOfTwo() {
  const env = { WORKERS: '2', REDIS_ADDR: 'nowhere:1', POSTGRES_DSN: 'postgres://u@nowhere/d' }
  return loadConfig({ ...env, PORT: String(await freePort()) })
}

const NO_PROGRAM: Trouble = {
  code: 'ENOENT',
  make() {
    process.execPath = '/nowhere/node'
  },
  // A program that ends at once, without a word.
  end() {
    process.execPath = '/usr/bin/true'
  },
}
// Like ENOMEM one of those that Node throws, and easier to bring about.
const ENVIRONMENT_TOO_LARGE: Trouble = {
  code: 'E2BIG',
  make() {
    process.execPath = '/usr/bin/true'
    process.env.TOO_LARGE = 'x'.repeat(4_000_000)
  },
  end() {
    delete process.env.TOO_LARGE
  },
}

test.each([NO_PROGRAM, ENVIRONMENT_TOO_LARGE])(
  'a worker that the system cannot start ($code) is tried again like one that died',
  async (trouble) => {
    onTestFinished(() => {
      trouble.end()
      process.execPath = execPath
    })
    trouble.make()
    const ends: object[] = []
    let tell: (() => void) | undefined
    const didRun = new Promise<void>((resolve) => {
      tell = resolve
    })
    const error = (fields: object): void => {
      ends.push(fields)
      trouble.end()
      if ('code' in fields) tell?.()
    }
    const workers = await startWorkers(await configOfTwo(), { ...silentLogger, error })
    await didRun
    await workers.stop()
    expect(ends[0]).toMatchObject({ err: { code: trouble.code }, delay_ms: expect.any(Number) })
  },
)

test('workers of which none ever serves are given up, as one process would have ended', async () => {
  process.execPath = '/usr/bin/false'
  onTestFinished(() => {
    process.execPath = execPath
  })
  const ends: object[] = []
  const error = (fields: object): void => void ends.push(fields)
  const workers = await startWorkers(await configOfTwo(), { ...silentLogger, error })
  expect(await workers.gaveUp).toMatchObject({ message: expect.stringContaining('before any has served') })
  expect(ends.length).toBeGreaterThanOrEqual(6)
  for (const end of ends) expect(end).toMatchObject({ code: 1 })
  await workers.stop()
})

test('workers of which one has served are replaced for as long as it takes', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'worker-'))
  const program = join(directory, 'worker')
  await writeFile(program, `#!${execPath}\nprocess.send('${SERVES}', () => process.exit(0))\n`)
  await chmod(program, 0o755)
  process.execPath = program
  onTestFinished(async () => {
    process.execPath = execPath
    await rm(directory, { recursive: true })
  })
  const ends: object[] = []
  let tell = (): void => undefined
  const haveEnded = new Promise<void>((resolve) => {
    tell = resolve
  })
  const error = (fields: object): void => {
    ends.push(fields)
    if (ends.length === 10) tell()
  }
  const workers = await startWorkers(await configOfTwo(), { ...silentLogger, error })
  await haveEnded
  await workers.stop()
  for (const end of ends.slice(0, 10)) expect(end).toMatchObject({ delay_ms: expect.any(Number) })
})
