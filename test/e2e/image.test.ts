// What the image holds, laid out as the Dockerfile does: packages for production without the optional ones, but for those that it
// copies by name. Nothing else can be found from there.
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { ask, PASSWORD, secretIn } from '../support/accounts.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { ServiceProcess } from '../support/service.ts'

interface Locked {
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
}

const root = fileURLToPath(new URL('../../', import.meta.url))
let image: string
let database: TestDatabase
let service: ServiceProcess | undefined

beforeAll(async () => {
  database = await createDatabase()
  image = await mkdtemp(join(tmpdir(), 'messaging-image-'))
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, Locked>>
  }
  const installed = Object.entries(packages)
    .filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional)
    .map(([path]) => path)
  const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8')
  const copied = [...dockerfile.matchAll(/^COPY --from=build \/app\/(node_modules\/\S+) /gm)].map(
    ([, path = '']) => path,
  )
  for (const path of ['package.json', 'sql', ...installed, ...copied]) await copy(path)
  await cp(join(inject('compiledSources'), 'dist'), join(image, 'dist'), { recursive: true })
})
afterAll(async () => {
  await service?.kill9()
  await database?.drop()
  await rm(image, { recursive: true, force: true })
})

/** Of uWebSockets.js the one binary that this Node loads: there are 260 MB of them. */
const OTHER_BINARY = /uWebSockets\.js\/.*\.node$/
/** What the Dockerfile takes out of OpenTelemetry. */
const FOR_BUNDLERS = /@opentelemetry\/[^/]+\/build\/(esm|esnext)(\/|$)|@opentelemetry\/.*\.map$/

async function copy(path: string): Promise<void> {
  const own = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`
  await mkdir(join(image, path, '..'), { recursive: true })
  const filter = (from: string): boolean => (!OTHER_BINARY.test(from) || from.endsWith(own)) && !FOR_BUNDLERS.test(from)
  await cp(join(root, path), join(image, path), { recursive: true, filter })
}

test('the image lets the first administrator register and sign in, and ends when it is told to', async () => {
  // With traces, whose library is loaded for them alone; nobody listens there.
  const traces = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }
  const main = join(image, 'dist', 'main.js')
  service = new ServiceProcess(main, { AUTH: 'accounts', POSTGRES_DSN: database.dsn, ...traces })
  await service.logged(({ msg }) => msg === 'listening')
  const invite = secretIn(service.stderr, 'bootstrap')
  const body = { username: 'Ann', password: PASSWORD }
  expect((await ask(service, '/api/auth/register', { ...body, invite })).body).toMatchObject({
    user: { role: 'admin' },
  })
  expect((await ask(service, '/api/auth/login', body)).status).toBe(200)
  // Threads that stand ready to hash the next password do not hold it up.
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect(service.logs.map((line) => JSON.stringify(line)).join('\n')).not.toContain(invite)
})
