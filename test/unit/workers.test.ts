import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { startWorkers } from '../../src/workers.ts'
import { freePort } from '../support/free-port.ts'
import { silentLogger } from '../support/silent-logger.ts'

interface Trouble {
  readonly code: string
  make(): void
  end(): void
}

const { execPath } = process
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
    const env = { WORKERS: '2', REDIS_ADDR: 'nowhere:1', POSTGRES_DSN: 'postgres://u@nowhere/d' }
    const config = loadConfig({ ...env, PORT: String(await freePort()) })
    const workers = await startWorkers(config, { ...silentLogger, error })
    await didRun
    await workers.stop()
    expect(ends[0]).toMatchObject({ err: { code: trouble.code }, delay_ms: expect.any(Number) })
  },
)
