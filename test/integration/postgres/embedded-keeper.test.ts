import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { keepEmbeddedPostgres } from '../../../src/postgres/embedded-keeper.ts'
import { silentLogger } from '../../support/databases.ts'
import { rowsOf } from '../../support/transactions.ts'

test('starts again at once, then after a pause as long as starts do not help, then at once again', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const dataDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }))
  const ends: object[] = []
  const logger = { ...silentLogger, error: (fields: object) => void ends.push(fields) }
  const kept = await keepEmbeddedPostgres({ dataDir, logger, settings: { shared_buffers: '16MB' } })
  onTestFinished(() => kept.stop())
  /** Resolves when another server takes connections. */
  const kill = async (): Promise<void> => {
    const pid = Number.parseInt(await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10)
    process.kill(pid, 'SIGKILL')
    await vi.waitUntil(() => rowsOf(kept.dsn, 'select 1').then(Boolean, () => false), { timeout: 30_000 })
  }
  await kill()
  await kill()
  vi.advanceTimersByTime(60_000)
  await kill()
  const delays = ends.map((fields) => ('delay_ms' in fields ? fields.delay_ms : undefined))
  expect(delays).toEqual([0, expect.any(Number), 0])
  expect(delays[1]).toBeGreaterThan(0)
})
