// The service's own PostgreSQL, copied while it works and brought back.
import { renameSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import type { StorageTools } from '../../src/cli/storage-commands.ts'
import { loadConfig } from '../../src/config.ts'
import { PostgresEpochStore } from '../../src/messages/epoch-store.postgres.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { storageTools } from '../../src/storage-tools.ts'
import { quietLogger, startOn } from '../support/app.ts'
import { createEmptyDatabase } from '../support/databases.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { SocketClient } from '../support/socket-client.ts'

let directory: string
let dataDir: string
let app: App | undefined

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  dataDir = join(directory, 'data')
})
afterAll(async () => {
  await app?.stop()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

type Environment = Readonly<Record<string, string>>
const config = (more: Environment = {}) =>
  loadConfig({ DATA_DIR: dataDir, PORT: '0', DRAIN_RECONNECT_SPREAD_MS: '0', ...more })
const start = (): Promise<App> => startApp(config(), quietLogger, crypto.randomUUID())

const tools = (more: Environment = {}): StorageTools =>
  storageTools({
    config: () => config(more),
    logger: () => silentLogger,
    epochStore: (_, queries) => new PostgresEpochStore(queries),
    async withDatabase(loaded, work) {
      const database = await openDatabase({ ...loaded.postgres, logger: silentLogger, isBesideService: true })
      try {
        return await work(database)
      } finally {
        await database.writerConnection.close()
        await database.close()
      }
    },
  })

/** Sends one after the other until told to end; resolves with how many were acknowledged. */
async function send(target: App, isOver: () => boolean): Promise<number> {
  const client = await SocketClient.connect(target, 'ann')
  let acked = 0
  while (!isOver()) {
    const { seq } = await client.ask({ type: 'send', receiver_id: 'bob', content: `text ${acked}` })
    acked = Number(seq)
  }
  await client.close()
  return acked
}

async function look(target: App): Promise<{ epoch: unknown; seqs: number[] }> {
  const client = await SocketClient.connect(target, 'bob')
  const { messages = [] } = await client.ask({ type: 'history', with: 'ann', before: 1_000_000, limit: 500 })
  await client.close()
  // At most the last 500.
  return { epoch: client.frames[0]?.['epoch'], seqs: messages.map(({ seq }) => Number(seq)).sort((a, b) => a - b) }
}

test('what was acknowledged before a backup under load is in it, and clients hear of another history', async () => {
  const target = join(directory, 'backup')
  app = await start()
  let isOver = false
  const sending = send(app, () => isOver)
  const warm = await SocketClient.connect(app, 'bob')
  await warm.next((frame) => frame.type === 'message' && Number(frame.seq) >= 20)
  const ackedBefore = Math.max(...warm.frames.map(({ seq }) => Number(seq ?? 0)))
  const report = await tools().backUp(target)
  expect(report).toMatchObject({ postgres: expect.stringMatching(/^\d+\.\d+/), files: expect.any(Number) })
  expect(report.bytes).toBeGreaterThan(2 ** 24)
  isOver = true
  const ackedAfter = await sending
  await warm.close()
  const { epoch } = await look(app)
  await expect(tools().backUp(target)).rejects.toThrow('is there already')
  // While a service runs on the directory nothing is put in its place.
  await expect(tools().restore(target)).rejects.toThrow('is there already')
  await app.stop()
  app = undefined

  renameSync(join(dataDir, 'postgres'), join(directory, 'lost'))
  const restored = await tools().restore(target)
  app = await start()
  const after = await look(app)
  expect(after.epoch).toBe(restored.epoch)
  expect(after.epoch).not.toBe(epoch)
  // A dense beginning of what there was: nothing acknowledged before is missing, and nothing is torn.
  const head = Math.max(...after.seqs)
  expect(head).toBeGreaterThanOrEqual(ackedBefore)
  expect(head).toBeLessThanOrEqual(ackedAfter)
  expect(after.seqs).toEqual(after.seqs.map((_, index) => head - after.seqs.length + 1 + index))
  // And it goes on from there, also into the next backup, whose log is of another timeline.
  const client = await SocketClient.connect(app, 'ann')
  expect(await client.ask({ type: 'send', receiver_id: 'bob', content: 'on' })).toMatchObject({ seq: head + 1 })
  await client.close()
  await app.stop()
  app = undefined
  const second = join(directory, 'second')
  await tools().backUp(second)
  await rm(join(dataDir, 'postgres'), { recursive: true })
  await tools().restore(second)
  app = await start()
  expect((await look(app)).seqs.at(-1)).toBe(head + 1)
  await app.stop()
  app = undefined
})

test('moves everything to a PostgreSQL of the operator, once no service uses the own one', async () => {
  dataDir = join(directory, 'small')
  app = await start()
  const client = await SocketClient.connect(app, 'ann')
  expect(await client.ask({ type: 'send', receiver_id: 'bob', content: 'goes along' })).toMatchObject({ seq: 1 })
  await client.close()
  const database = await createEmptyDatabase()
  onTestFinished(() => database.drop())
  const moving = tools({ POSTGRES_DSN: database.dsn })
  await expect(moving.move()).rejects.toThrow('is in use by another running service')
  await app.stop()
  app = undefined
  expect(await moving.move()).toMatchObject({ messages: 1, conversations: 1 })
  app = await startOn(database.dsn)
  expect((await look(app)).seqs).toEqual([1])
  await app.stop()
  app = undefined
})
