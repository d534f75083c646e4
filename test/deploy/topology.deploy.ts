// The topology of the compose file as plain processes, with its variables: two instances, PostgreSQL, Redis, and nginx with TLS.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PASSWORD, secretIn } from '../support/accounts.ts'
import { makeCertificate } from '../support/certificate.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/databases.ts'
import { composeFile } from '../support/deploy-files.ts'
import { freePort } from '../support/free-port.ts'
import { RedisServer } from '../support/redis.ts'
import { PROXY_SAMPLES, SampleProxy } from '../support/sample-proxy.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { callByHttp1, type TlsSite } from '../support/tls-client.ts'

const services = useServices()
const compose = composeFile({ METRICS_TOKEN: 'a-token-of-sixteen-characters' })
let database: TestDatabase
let redis: RedisServer
let directory: string
let proxy: SampleProxy
let site: TlsSite
let ports: readonly [number, number]

beforeAll(async () => {
  const [nginx] = PROXY_SAMPLES
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  database = await createEmptyDatabase()
  redis = await RedisServer.start(compose.services.redis.command?.slice(1))
  const certificate = makeCertificate(directory)
  ports = [await freePort(), await freePort()]
  proxy = await SampleProxy.start(nginx!, certificate, [`127.0.0.1:${ports[0]}`, `127.0.0.1:${ports[1]}`])
  site = { port: proxy.port, ca: readFileSync(certificate.cert, 'utf8') }
})
afterAll(async () => {
  await proxy?.stop()
  await redis?.stop()
  await database?.drop()
  await rm(directory, { recursive: true, force: true })
})

/** One of the two, with every variable of the file; names of the network are addresses of this machine. */
function start(name: 'one' | 'two'): Promise<ServiceProcess> {
  const places = {
    POSTGRES_DSN: database.dsn,
    REDIS_ADDR: `127.0.0.1:${redis.port}`,
    PUBLIC_URL: `https://localhost:${site.port}`,
    TRUSTED_PROXIES: '127.0.0.1',
  }
  const { environment = {} } = compose.services[name]
  for (const variable of Object.keys(places)) expect(environment).toHaveProperty(variable)
  return services.start({ ...environment, ...places, PORT: String(ports[name === 'one' ? 0 : 1]) })
}

/** Makes an account through the proxy; its access token. */
async function register(username: string, invite: string): Promise<{ id: string; token: string }> {
  const body = { username, password: PASSWORD, client: 'token', invite }
  const answer = await callByHttp1(site, 'POST', '/api/auth/register', { body })
  expect([answer.status, answer.body]).toEqual([201, expect.anything()])
  const { user, token } = answer.body as { user: { user_id: string }; token: string }
  return { id: user.user_id, token }
}

const connect = (token: string): Promise<SocketClient> =>
  SocketClient.connect(site, '', { scheme: 'wss', ca: site.ca, protocol: `messaging.v1.json,bearer.${token}` })

test('two people register, talk across instances, and do so after both were replaced', async () => {
  const running = { one: await start('one'), two: await start('two') }
  // Each start makes a link in place of the last one.
  await eventually(() => running.two.stderr.includes('bootstrap'), 'the link for the first administrator')
  const ann = await register('Ann', secretIn(running.two.stderr, 'bootstrap'))
  const bearer = { Authorization: `Bearer ${ann.token}` }
  const invite = await callByHttp1(site, 'POST', '/api/invites', { body: {}, headers: bearer })
  const bob = await register('Bob', String(invite.body?.['code']))
  let count = 0
  const talk = async (): Promise<void> => {
    const [one, two] = [await connect(ann.token), await connect(bob.token)]
    one.send({ type: 'send', receiver_id: bob.id, content: 'hello' })
    count += 1
    const seq = count
    await two.next((frame) => frame.type === 'message' && frame.seq === seq)
    expect(await callByHttp1(site, 'GET', '/api/online_users', { headers: bearer })).toMatchObject({
      body: { online_users: expect.arrayContaining([ann.id, bob.id]) },
    })
    await Promise.all([one.close(), two.close()])
  }
  await talk()
  for (const name of ['one', 'two'] as const) {
    const grace = Number(/^(\d+)s$/.exec(compose.services[name].stop_grace_period ?? '')?.[1])
    const begun = performance.now()
    expect(await running[name].stop()).toEqual({ code: 0, signal: null })
    expect(performance.now() - begun).toBeLessThan(grace * 1000)
    await talk()
    running[name] = await start(name)
    await talk()
  }
  // Prometheus asks each instance, with the token of the file.
  const elsewhere = { 'X-Forwarded-For': '192.0.2.1' }
  const scrape = (headers: Readonly<Record<string, string>>) =>
    fetch(`http://127.0.0.1:${ports[0]}/metrics`, { headers: { ...elsewhere, ...headers } })
  expect((await scrape({})).status).toBe(401)
  const token = compose.services.one.environment?.['METRICS_TOKEN']
  expect(await (await scrape({ Authorization: `Bearer ${token}` })).text()).toContain('messaging_redis_connected 1')
  await Promise.all([running.one.stop(), running.two.stop()])
})
