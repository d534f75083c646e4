// No credential reaches the log, whatever becomes of it and however much is logged.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newServiceKey, SCOPES } from '../../src/auth/service-key.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { freePort } from '../support/free-port.ts'
import { bearer } from '../support/identity.ts'
import { call, get } from '../support/rest-client.ts'
import { type Target, useServices } from '../support/service.ts'
import { JSON_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { hmacSigner, tokenFor } from '../support/tokens.ts'

const JWT_SECRET = 'canary-jwt-secret-of-32-bytes-or-more'
const JWT_SECRET_PREVIOUS = 'canary-previous-secret-of-32-bytes-or-more'
const METRICS_TOKEN = 'canary-metrics-token'
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

const services = useServices()
let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

/** Everything that must not be seen, as it is noted down while it is used. */
class Secrets {
  readonly all: string[] = [JWT_SECRET, JWT_SECRET_PREVIOUS, METRICS_TOKEN]

  /** A token is also recognised by its payload or its signature alone. */
  token(text: string): string {
    this.all.push(...text.split('.').slice(1))
    return text
  }
  plain(text: string): string {
    this.all.push(text)
    return text
  }
}

async function everyHttpDoor(target: Target, credential: string): Promise<void> {
  const headers = bearer(credential)
  const body = { user_id: credential, session_id: credential, receiver_id: credential, content: 'x' }
  for (const path of ['/api/messages?with=bob', '/api/users/me', '/metrics', '/nowhere'])
    await get(target, path, headers)
  for (const path of ['/api/send_message', '/api/auth/ticket', '/api/auth/tokens', '/api/auth/revoke']) {
    await call(target, 'POST', path, { headers, body })
  }
  // Where a credential does not belong, people put it all the same.
  await get(target, `/api/messages?with=bob&token=${credential}&access_token=${credential}`)
  await get(target, `/api/users/${credential}`, { 'X-User-Id': credential, Cookie: `session=${credential}` })
  await get(target, `/${credential}`, {
    Authorization: credential,
    'X-Request-Id': credential,
    Origin: `https://${credential}`,
  })
}

/** Ends with the socket closed by whoever does it first. */
async function everySocketDoor(target: Target, credential: string): Promise<void> {
  const byFrame = SocketClient.dial(target, '')
  await byFrame.opened()
  byFrame.send({ type: 'auth', token: credential, ref: 1 })
  const sockets = [
    byFrame,
    SocketClient.dial(target, '', { headers: bearer(credential) }),
    SocketClient.dial(target, '', { protocol: `${JSON_PROTOCOL},bearer.${credential}` }),
    SocketClient.dial(target, '', { protocol: `bearer.${credential}` }),
    SocketClient.dial(target, `ticket=${credential}`),
    SocketClient.dial(target, `token=${credential}`),
    SocketClient.dial(target, '', { headers: { ...bearer(credential), Origin: `https://${credential}` } }),
  ]
  for (const socket of sockets) {
    const ended = socket.closed.then(() => 'closed')
    const welcomed = socket.next('welcome').then(
      () => 'welcome',
      () => 'closed',
    )
    if ((await Promise.race([ended, welcomed])) === 'welcome') await socket.close()
  }
}

/** A token in band on an open socket, good or not. */
async function renewal(target: Target, good: string, next: string): Promise<void> {
  const socket = await SocketClient.connect(target, '', { headers: bearer(good) })
  await socket.ask({ type: 'auth', token: next })
  socket.cut()
  await socket.closed
}

test.each(LEVELS)(
  'with LOG_LEVEL=%s no credential, good or bad, is in the log',
  async (level) => {
    const target = { port: await freePort() }
    const secrets = new Secrets()
    const service = services.launch({
      ...{ POSTGRES_DSN: database.dsn, PORT: String(target.port), LOG_LEVEL: level, AUTH: 'jwt', WEB: 'on' },
      ...{ JWT_SECRET, JWT_SECRET_PREVIOUS, METRICS_TOKEN },
    })
    const isReady = () =>
      get(target, '/readyz').then(
        ({ status }) => status === 200,
        () => false,
      )
    await eventually(isReady, 'readiness', 120_000)

    const signed = (more: object, secret = JWT_SECRET) => secrets.token(tokenFor('ann', more, hmacSigner(secret)))
    const { key, stored } = newServiceKey('canary', SCOPES)
    await execute(
      database.dsn,
      `insert into service_keys (key_id, secret_hash, name, scopes)
     values ('${stored.keyId}', '\\x${stored.secretHash.toString('hex')}', 'canary', '{${stored.scopes.join(',')}}')`,
    )
    const good = signed({ jti: `canary ${level}` })
    const ticketOf = async () => {
      const { body } = await call(target, 'POST', '/api/auth/ticket', { headers: bearer(good) })
      const ticket = String(body?.['ticket'])
      expect(ticket).toHaveLength(22)
      return secrets.plain(ticket)
    }
    const credentials = [
      good,
      signed({ aud: 'old' }, JWT_SECRET_PREVIOUS),
      signed({ exp: 1 }),
      signed({ sub: 7 }),
      signed({}, 'a secret of somebody else, 32 bytes or more'),
      secrets.plain(key),
      secrets.plain(`${key.slice(0, -4)}zzzz`),
      secrets.plain(`msk_${'c'.repeat(16)}_${'d'.repeat(43)}`),
      await ticketOf(),
      METRICS_TOKEN,
      secrets.plain('a-password-that-somebody-typed'),
    ]
    for (const credential of credentials) {
      await everyHttpDoor(target, credential)
      await everySocketDoor(target, credential)
    }
    await renewal(target, good, signed({ jti: 'renewed' }))
    await renewal(target, good, signed({ exp: 2 }))

    // Trouble of our own is logged with the error of the database, which knows the statement.
    const tables = ['tickets', 'service_keys', 'users']
    const lastTicket = await ticketOf()
    for (const table of tables) await execute(database.dsn, `alter table ${table} rename to ${table}_away`)
    const unseen = secrets.plain(`msk_${'e'.repeat(16)}_${'f'.repeat(43)}`)
    for (const credential of [lastTicket, unseen, good]) {
      await everyHttpDoor(target, credential)
      await everySocketDoor(target, credential)
    }
    for (const table of tables) await execute(database.dsn, `alter table ${table}_away rename to ${table}`)

    await service.stop()
    const written = service.logs.map((line) => JSON.stringify(line)).join('\n') + service.stderr
    const shown = secrets.all.filter((secret) => written.includes(secret))
    expect(shown).toEqual([])
    // What is looked through is a log in which the requests are: nobody is fooled by an empty one.
    const isVerbose = level === 'trace' || level === 'debug'
    expect(written.includes('"route":"/api/auth/ticket"')).toBe(isVerbose)
    if (isVerbose) expect(written).toContain('a service key could not be looked up')
  },
  300_000,
)
