// People open a service of their own network over plain http: the SDK must work without what browsers keep for https.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { createClient } from '../../src/client/index.ts'
import { placeBuilt } from '../support/built-files.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { useServices } from '../support/service.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const services = useServices()
let database: TestDatabase
let directory: string

beforeAll(async () => {
  database = await createDatabase()
  directory = await mkdtemp(join(tmpdir(), 'messaging-page-'))
  await placeBuilt('client', await services.ownFiles())
})
afterAll(async () => {
  await database.drop()
  await rm(directory, { recursive: true, force: true })
})

/** An address of this machine in its network; of itself alone, where there is no network. */
function address(): string {
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

test('GET /client.js sends, shows and keeps messages in a page from an address of the local network', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, HOST: '0.0.0.0', AUTH: 'none' })
  const origin = `http://${address()}:${service.port}`
  const answer = await fetch(`${origin}/client.js`)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8'])
  // The answer came as it was compressed when it was built.
  expect(answer.headers.get('content-encoding')).toMatch(/^(br|gzip)$/)
  const module = join(directory, 'client.mjs')
  await writeFile(module, await answer.text())

  const bob = createClient({ url: `ws://${address()}:${service.port}/ws`, auth: { userId: 'bob' }, WebSocket })
  onTestFinished(() => bob.close())
  bob.on('message', ({ sender_id }) => void bob.conversation(sender_id).send('answered'))

  const page = spawn(process.execPath, [join(root, 'test/support/plain-http-page.mjs'), origin, module, 'amy', 'bob'])
  onTestFinished(() => void page.kill('SIGKILL'))
  let stderr = ''
  page.stderr.on('data', (text: Buffer) => {
    stderr += text.toString()
  })
  const steps: unknown[] = []
  createInterface({ input: page.stdout }).on('line', (line) => steps.push(JSON.parse(line)))
  await once(page, 'close')
  expect(stderr).toBe('')
  const rows = ['typed over plain http delivered', 'answered received']
  expect(steps).toEqual([
    { step: 'sent', outcome: 'ok', storage: 'persistent' },
    { step: 'answered', rows },
    { step: 'reloaded', rows },
  ])
  await service.stop()
})
