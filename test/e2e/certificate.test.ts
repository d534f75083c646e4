// A new certificate is served without a restart, and whoever is connected stays so.
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { freePort } from '../support/free-port.ts'
import { sharedRedis } from '../support/redis.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const services = useServices()
let database: TestDatabase
let directory: string

beforeAll(async () => {
  database = await createDatabase()
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
})
afterAll(async () => {
  await database.drop()
  await rm(directory, { recursive: true })
})

interface Files {
  readonly cert: string
  readonly key: string
}

/** A certificate of its own for localhost. */
function makeCertificate(name: string): Files {
  const files = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}-key.pem`) }
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost', '-days', '30']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', files.key]
  execFileSync('openssl', ['req', '-x509', ...key, '-out', files.cert, ...subject], { stdio: 'ignore' })
  return files
}

/** A service that uses copies of these files, whose content a test replaces. */
async function serve(first: Files, more: Readonly<Record<string, string>> = {}) {
  const id = crypto.randomUUID()
  const used = { cert: join(directory, `${id}.pem`), key: join(directory, `${id}-key.pem`) }
  const replaceBy = ({ cert, key }: Files): void => {
    copyFileSync(cert, used.cert)
    copyFileSync(key, used.key)
  }
  replaceBy(first)
  const service = await services.start({
    POSTGRES_DSN: database.dsn,
    PORT: String(await freePort()),
    TLS_CERT_FILE: used.cert,
    TLS_KEY_FILE: used.key,
    DRAIN_RECONNECT_SPREAD_MS: '0',
    ...more,
  })
  return { service, used, replaceBy }
}

/** The name in the certificate that a new client is shown; with or without a host name asked for. */
function served({ port }: ServiceProcess, servername = 'localhost'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      const { raw } = socket.getPeerCertificate()
      socket.destroy()
      resolve(new X509Certificate(raw).subject.replace('CN=', ''))
    })
    socket.on('error', reject)
  })
}

const IS_SERVED = 'a new certificate is served'
const IS_REFUSED = 'the new certificate is refused, the old one is still served'

test.each(['SIGHUP', 'the change of the files'])('%s brings a new certificate, and open sockets stay', async (what) => {
  const [one, two] = [makeCertificate('one'), makeCertificate('two')]
  const { service, replaceBy } = await serve(one)
  const before = await SocketClient.connect(service, 'ann', { scheme: 'wss', ca: readFileSync(one.cert, 'utf8') })
  before.send({ type: 'watch', user_ids: ['bob'] })
  expect(await before.next('presence')).toMatchObject({ user_id: 'bob', status: 'offline' })
  expect(await served(service)).toBe('one')
  replaceBy(two)
  if (what === 'SIGHUP') service.signal('SIGHUP')
  const line = await service.logged(({ msg }) => msg === IS_SERVED)
  expect(line).toMatchObject({ level: 'info', names: 'DNS:localhost' })
  expect(await served(service)).toBe('two')
  expect(await served(service, '')).toBe('two')

  const after = await SocketClient.connect(service, 'bob', { scheme: 'wss', ca: readFileSync(two.cert, 'utf8') })
  // Presence goes by topic, to the sockets of the replaced certificate as well.
  expect(await before.next('presence')).toMatchObject({ user_id: 'bob', status: 'online' })
  await after.ask({ type: 'send', receiver_id: 'ann', content: 'still there?' })
  expect(await before.next('message')).toMatchObject({ content: 'still there?' })
  const closes = Promise.all([before.closed, after.closed])
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect((await closes).map(({ code }) => code)).toEqual([1012, 1012])
})

test.each([
  ['is none', (used: Files) => writeFileSync(used.cert, 'not a certificate')],
  ['has another key', (used: Files) => copyFileSync(makeCertificate('other').cert, used.cert)],
  ['is missing', (used: Files) => writeFileSync(used.key, '')],
])('a certificate that %s is refused with a reason, and the old one stays', async (_what, spoil) => {
  const { service, used, replaceBy } = await serve(makeCertificate('good'))
  spoil(used)
  service.signal('SIGHUP')
  const line = await service.logged(({ msg }) => msg === IS_REFUSED)
  expect(line).toMatchObject({ level: 'warn', err: { message: expect.stringContaining(used.cert) } })
  expect(await served(service)).toBe('good')
  // The next good one is taken all the same.
  replaceBy(makeCertificate('better'))
  await service.logged(({ msg }) => msg === IS_SERVED)
  expect(await served(service)).toBe('better')
  expect((await service.stop()).code).toBe(0)
})

test('SIGHUP without a new certificate changes nothing, and with one the port stays exclusive', async () => {
  const { service, replaceBy } = await serve(makeCertificate('same'))
  service.signal('SIGHUP')
  await service.logged(({ msg }) => msg === 'the certificate is the one that is served already')
  expect(await served(service)).toBe('same')
  replaceBy(makeCertificate('next'))
  service.signal('SIGHUP')
  await service.logged(({ msg }) => msg === IS_SERVED)
  const second = services.launch({ POSTGRES_DSN: database.dsn, PORT: String(service.port) })
  expect((await second.exited).code).toBe(1)
  await service.stop()
})

test('with several processes SIGHUP to the first reaches all', async () => {
  const { url, prefix } = sharedRedis()
  const env = { WORKERS: '2', REDIS_ADDR: url, REDIS_PREFIX: prefix }
  const { service, replaceBy } = await serve(makeCertificate('one'), env)
  const served2 = () => service.logs.filter(({ msg }) => msg === IS_SERVED).map(({ worker }) => worker)
  await service.logged(() => service.logs.filter(({ msg }) => msg === 'listening').length === 2)
  replaceBy(makeCertificate('two'))
  service.signal('SIGHUP')
  await service.logged(() => served2().length === 2)
  expect(new Set(served2())).toEqual(new Set([0, 1]))
  for (let turn = 0; turn < 10; turn += 1) expect(await served(service)).toBe('two')
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})
