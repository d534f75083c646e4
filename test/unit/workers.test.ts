import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { startWorkers } from '../../src/workers.ts'
import { freePort } from '../support/free-port.ts'

test('a worker that the system can not start is tried again like one that died', async () => {
  const { execPath } = process
  onTestFinished(() => {
    process.execPath = execPath
  })
  process.execPath = '/nowhere/node'
  const ends: object[] = []
  let tell: (() => void) | undefined
  const didRun = new Promise<void>((resolve) => {
    tell = resolve
  })
  const ignore = () => undefined
  const error = (fields: object): void => {
    ends.push(fields)
    // A program that ends at once, without a word.
    process.execPath = '/usr/bin/true'
    if ('code' in fields) tell?.()
  }
  const env = { WORKERS: '2', REDIS_ADDR: 'nowhere:1', POSTGRES_DSN: 'postgres://u@nowhere/d' }
  const config = loadConfig({ ...env, PORT: String(await freePort()) })
  const workers = await startWorkers(config, { debug: ignore, info: ignore, warn: ignore, error })
  await didRun
  await workers.stop()
  expect(ends[0]).toMatchObject({ err: { code: 'ENOENT' }, delay_ms: expect.any(Number) })
})
