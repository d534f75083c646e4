import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { hashOfSecret, SCOPES } from '../../src/auth/service-key.ts'
import { startOn } from '../support/app.ts'
import { programFile } from '../support/compiled.ts'
import { createDatabase, createEmptyDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { FakePushService } from '../support/fake-push-service.ts'
import { freePort } from '../support/free-port.ts'
import { call } from '../support/rest-client.ts'
import { jwkOf, scriptedIssuer } from '../support/scripted-issuer.ts'
import { useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { keyPair, SECRET } from '../support/tokens.ts'
import { rowsOf } from '../support/transactions.ts'

const services = useServices()
let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the compiled command in an environment of these variables alone. */
function messaging(words: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return ended(process.execPath, [programFile('cli.js'), ...words], env)
}

function ended(program: string, words: readonly string[], given: Record<string, string>): Promise<Ended> {
  const env = { POSTGRES_DSN: database.dsn, ...given }
  return new Promise((resolve) => {
    execFile(program, words, { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}

/** The same, by a shell that does something before. */
function shell(before: string, words: readonly string[], env: Record<string, string>): Promise<Ended> {
  const file = programFile('cli.js')
  return ended('sh', ['-c', before, '-', process.execPath, file, ...words], env)
}

async function json<T>(words: readonly string[], env?: Record<string, string>): Promise<T> {
  const { code, stdout, stderr } = await messaging([...words, '--json'], env)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

const CREATE = ['keys', 'create', '--name', 'backend', '--scopes', 'send:any,read:any']
/** Redis is not there, and the doctor looks at the rest all the same. */
const WORKERS = { WORKERS: '2', REDIS_ADDR: '127.0.0.1:1', PORT: '8080' }
const JWT = { AUTH: 'jwt', JWT_SECRET: SECRET }

describe('messaging keys', () => {
  test('makes a key that is shown once, lists it without its secret, and revokes it once', async () => {
    const made = await json<{ key_id: string; key: string; scopes: string[] }>([
      'keys',
      'create',
      '--name',
      'backend',
      '--scopes',
      'send:any,read:any',
    ])
    expect(made.key).toMatch(/^msk_[A-Za-z0-9]{16}_[A-Za-z0-9_-]{43}$/)
    expect(made.scopes).toEqual(['send:any', 'read:any'])
    const listed = await messaging(['keys', 'list', '--json'])
    expect(JSON.parse(listed.stdout)).toMatchObject([{ key_id: made.key_id, name: 'backend', revoked_at: null }])
    const secret = made.key.split('_').slice(2).join('_')
    expect(listed.stdout).not.toContain(secret)
    expect(listed.stdout).not.toContain(hashOfSecret(secret).toString('hex'))
    expect((await messaging(['keys', 'revoke', made.key_id], JWT)).code).toBe(0)
    const again = await messaging(['keys', 'revoke', made.key_id], JWT)
    expect(again).toMatchObject({ code: 1, stderr: `messaging: There is no key ${made.key_id} that is not revoked.\n` })
  })

  test('end by the time of the database, whatever this machine takes for the time', async () => {
    const ahead = 'const now = Date.now; Date.now = () => now() + 86_400_000'
    const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(ahead)}` }
    const { key_id } = await json<{ key_id: string }>([...CREATE, '--expires-in', '60'], env)
    const text = `select extract(epoch from expires_at - created_at)::int as seconds from service_keys where key_id = '${key_id}'`
    expect(await rowsOf(database.dsn, text)).toEqual([{ seconds: 60 }])
  })

  test('are listed without what Node loads for fetch', async () => {
    const isLoaded = '[/ net$/, /undici/].map((name) => process.moduleLoadList.some((one) => name.test(one)))'
    const told = `process.on('exit', () => process.stderr.write(JSON.stringify(${isLoaded})))`
    const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(told)}` }
    expect(await messaging(['keys', 'list'], env)).toMatchObject({ code: 0, stderr: '[true,false]' })
  })

  test('are kept in the schema that is named, by a command as by the service', async () => {
    const env = { POSTGRES_SCHEMA: 'chat' }
    const made = await json<{ key_id: string }>([...CREATE], env)
    expect(await json(['keys', 'list'], env)).toMatchObject([{ key_id: made.key_id }])
    expect(JSON.stringify(await json(['keys', 'list']))).not.toContain(made.key_id)
    const checks = await json<{ name: string; detail: string }[]>(['doctor'], env)
    expect(checks.find(({ name }) => name === 'database')?.detail).toContain('schema chat: migrated')
  })

  test('names a scope that there is not, and all that there are', async () => {
    const { code, stderr } = await messaging(['keys', 'create', '--name', 'x', '--scopes', 'send:all'])
    expect(code).toBe(1)
    expect(stderr).toContain('send:all is no scope.')
    const { stdout } = await messaging(['keys', 'create', '--help'])
    for (const scope of SCOPES) expect(stdout.replaceAll(/\s+/g, ' ')).toContain(scope)
  })
})

describe('messaging token and revoke', () => {
  test('issues a token of a user for so long as is said', async () => {
    const { token, expires_at } = await json<{ token: string; expires_at: string }>(
      ['token', 'issue', 'ann', '--expires-in', '60'],
      JWT,
    )
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({ sub: 'ann', exp: claims.iat + 60 })
    expect(Date.parse(expires_at)).toBe(claims.exp * 1000)
  })

  test.each<[string, string[], Record<string, string>, string]>([
    ['no secret', ['token', 'issue', 'ann'], {}, 'Tokens can be made with AUTH=jwt and JWT_SECRET, or'],
    ['nobody with an account', ['token', 'issue', 'ann'], { AUTH: 'accounts' }, 'There is no active account ann.'],
    ['a life beyond the longest', ['token', 'issue', 'ann', '--expires-in', '86401'], JWT, 'A token lives 86400'],
    ['a user id that is none', ['token', 'issue', 'a b'], JWT, 'is not a user id'],
    [
      'a token of a shell that lacks AUTH',
      ['revoke', '--user', 'ann'],
      {},
      'Give this command the AUTH of the service.',
    ],
    ['a key of one', ['keys', 'revoke', 'a'], { AUTH: 'none' }, 'AUTH=none refuses nobody, so nothing was revoked.'],
    ['nobody to revoke', ['revoke'], {}, 'Say whose tokens: --user, --session or --jti.'],
    ['two to revoke', ['revoke', '--user', 'ann', '--jti', 'x'], {}, 'cannot be used with'],
    ['a wrong environment', ['keys', 'list'], { PORT: 'x' }, 'PORT: "x" is not'],
    ['a database that is away', ['keys', 'list'], { POSTGRES_DSN: 'postgres://127.0.0.1:1/x' }, 'ECONNREFUSED'],
  ])('says in one sentence what is wrong with %s', async (_, words, env, sentence) => {
    const { code, stdout, stderr } = await messaging(words, env)
    expect(code).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toContain(sentence)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  test.each([
    [['--user', 'ann'], { user_id: 'ann' }],
    [['--session', 's1'], { session_id: 's1' }],
    [['--jti', 't1'], { jti: 't1' }],
  ])('revokes %j', async (words, target) => {
    expect(await json(['revoke', ...words], JWT)).toEqual(target)
  })

  test('revokes for as long as any token may live, whatever this shell says', async () => {
    await json(['revoke', '--jti', 'long'], { ...JWT, JWT_MAX_LIFETIME_SECONDS: '60' })
    const kept = `select expires_at > now() + interval '365 days' as is_long from revocations where jti = 'long'`
    expect(await rowsOf(database.dsn, kept)).toEqual([{ is_long: true }])
  })
})

describe('messaging users', () => {
  test('describes a person, who is then found', async () => {
    const described = [{ user_id: 'ann', display_name: 'Ann Lee', avatar: 'https://example.com/a.png' }]
    const words = ['users', 'set', 'ann', '--display-name', 'Ann Lee', '--avatar-url', 'https://example.com/a.png']
    expect(await json(words)).toEqual(described)
    expect(await json(['users', 'search', 'lee'])).toEqual(described)
    expect(await json(['users', 'get', 'bob', 'ann'])).toEqual([{ user_id: 'bob', display_name: 'bob' }, ...described])
  })
})

describe('messaging epoch', () => {
  test('begins a new one, which a running service takes over', async () => {
    const app = await startOn(database.dsn)
    onTestFinished(() => app.stop())
    const client = await SocketClient.connect(app, 'ann')
    const before = client.frames[0]?.['epoch']
    const { epoch } = await json<{ epoch: string }>(['epoch', 'renew', '--because', 'a test'])
    expect(epoch).not.toBe(before)
    expect((await client.closed).code).toBe(1012)
    const again = await SocketClient.connect(app, 'ann')
    expect(again.frames[0]?.['epoch']).toBe(epoch)
    await again.close()
  })
})

describe("on the service's own PostgreSQL", () => {
  test('a command works beside a running service, and leaves it running', async () => {
    const dataDir = await services.dataDirWithCluster()
    const service = await services.start({ DATA_DIR: dataDir, ...JWT })
    const { key } = await json<{ key: string }>(CREATE, { DATA_DIR: dataDir, POSTGRES_DSN: '' })
    const headers = { Authorization: `Bearer ${key}` }
    const body = { sender_id: 'ann', receiver_id: 'bob', content: 'hi' }
    expect((await call(service, 'POST', '/api/send_message', { headers, body })).status).toBe(201)
    expect((await service.stop()).code).toBe(0)
  })

  test('a command works while no service runs, and a service then finds what it did', async () => {
    const dataDir = await services.dataDir()
    const own = { DATA_DIR: dataDir, POSTGRES_DSN: '' }
    const made = await messaging([...CREATE, '--json'], own)
    // The one thing that is said beside the answer.
    expect(made.stderr.trim().split('\n')).toEqual([expect.stringContaining('no PostgreSQL of the service was here')])
    const { key } = JSON.parse(made.stdout)
    const service = await services.start({ DATA_DIR: dataDir, ...JWT })
    const answer = await call(service, 'GET', '/api/messages?user_id=ann&with=bob', {
      headers: { Authorization: `Bearer ${key}` },
    })
    expect(answer.status).toBe(200)
    await service.stop()
  })
})

describe('a command changes nothing but what it is for', () => {
  const COMMANDS = [['doctor'], CREATE]

  test('the doctor makes no PostgreSQL where there is none, and names the place', async () => {
    const dataDir = await services.dataDir()
    const { code, stdout, stderr } = await messaging(['doctor'], { DATA_DIR: dataDir, POSTGRES_DSN: '' })
    expect(code).toBe(1)
    expect(stdout + stderr).toContain(`${dataDir} holds no PostgreSQL of this service`)
    expect(await readdir(dataDir)).toEqual([])
  })

  test('the doctor makes no tables, and says who does', async () => {
    const empty = await createEmptyDatabase()
    onTestFinished(() => empty.drop())
    const { code, stdout, stderr } = await messaging(['doctor'], { POSTGRES_DSN: empty.dsn })
    expect(code).toBe(1)
    expect(stdout + stderr).toContain('No service has used this database yet')
    expect(await rowsOf(empty.dsn, "select tablename from pg_tables where schemaname = 'public'")).toEqual([])
  })

  test('a key is made before the first start too, and on a PostgreSQL of its own that is said', async () => {
    const empty = await createEmptyDatabase()
    onTestFinished(() => empty.drop())
    const { key_id } = await json<{ key_id: string }>(CREATE, { POSTGRES_DSN: empty.dsn })
    expect(await json(['keys', 'list'], { POSTGRES_DSN: empty.dsn })).toMatchObject([{ key_id }])
    const dataDir = await services.dataDir()
    const { code, stderr } = await messaging(CREATE, { DATA_DIR: dataDir, POSTGRES_DSN: '' })
    expect(code).toBe(0)
    expect(stderr).toContain('no PostgreSQL of the service was here')
    expect(stderr).toContain(dataDir)
  })

  test.each(COMMANDS)('%s leaves a database of an older version as it is', async (...words) => {
    const older = await createDatabase()
    onTestFinished(() => older.drop())
    await execute(
      older.dsn,
      'delete from schema_migrations where version = (select max(version) from schema_migrations)',
    )
    const before = await rowsOf(older.dsn, 'select max(version) as version from schema_migrations')
    const { code, stdout, stderr } = await messaging(words, { POSTGRES_DSN: older.dsn })
    expect(code).toBe(1)
    expect(stdout + stderr).toContain(`The database is at migration ${before[0]?.['version']}, and this version needs`)
    expect(await rowsOf(older.dsn, 'select max(version) as version from schema_migrations')).toEqual(before)
  })
})

describe('messaging doctor', () => {
  test('names the database that it looked at', async () => {
    const results = await json<{ name: string; detail: string }[]>(['doctor'])
    const { pathname } = new URL(database.dsn.replace(':///', '://localhost/'))
    const detail = results.find(({ name }) => name === 'database')?.detail
    expect(detail).toMatch(new RegExp(`^${pathname.slice(1)} at .*: PostgreSQL 18`))
  })

  test('finds everything in order, and says what is not configured', async () => {
    const results = await json<{ name: string; status: string }[]>(['doctor'])
    expect(results.map(({ name, status }) => [name, status])).toEqual([
      ['configuration', 'ok'],
      ['database', 'ok'],
      ['connections', 'ok'],
      ['clock', 'ok'],
      ['Redis', 'skipped'],
      ['key set', 'skipped'],
      ['push services', 'skipped'],
      ['open files', 'ok'],
    ])
  })

  test('names the keys of the key set that can be used', async () => {
    const issuer = await scriptedIssuer()
    onTestFinished(() => issuer.close())
    issuer.publish(jwkOf(keyPair('ES256'), 'first'), { kty: 'oct', k: 'AAAA', kid: 'not ours' })
    const results = await json<{ name: string; detail: string }[]>(['doctor'], issuer.env)
    expect(results.find(({ name }) => name === 'key set')?.detail).toBe(
      `${issuer.url} holds 1 that can be used: ES256 first`,
    )
  })

  test('says what is wrong with the configuration once, and ends as the service does', async () => {
    const { code, stdout } = await messaging(['doctor', '--json'], { PORT: 'x' })
    expect(code).toBe(78)
    expect(JSON.parse(stdout)).toEqual([
      { name: 'configuration', status: 'failed', detail: expect.stringContaining('PORT: "x" is not') },
    ])
  })

  test('judges how many files the service may open, not the shell', async () => {
    const app = await startOn(database.dsn)
    onTestFinished(() => app.stop())
    const limited = (port: number) => shell('ulimit -n 200; exec "$@"', ['doctor', '--json'], { PORT: String(port) })
    const ofService = await limited(app.port)
    expect(ofService).toMatchObject({ code: 0, stdout: expect.stringContaining(`in the service at ${app.url}`) })
    const free = await freePort()
    expect((await limited(free)).stdout).toContain(
      '200 files may be open in what this shell starts, and each socket takes',
    )
  })

  test('compares what PostgreSQL takes with what an instance opens', async () => {
    const results = JSON.parse((await messaging(['doctor', '--json'], WORKERS)).stdout) as {
      name: string
      detail: string
    }[]
    expect(results.find(({ name }) => name === 'connections')?.detail).toMatch(/opens up to 56, so there can be \d+$/)
    const many = await messaging(['doctor', '--json'], { POSTGRES_POOL_MAX: '1000' })
    expect(many.code).toBe(1)
    expect(many.stdout).toContain('opens up to 1020; raise max_connections')
  })

  test('asks the push services whether they can be reached', async () => {
    const fake = await FakePushService.start()
    onTestFinished(() => fake.close())
    const results = await json<{ name: string; detail: string }[]>(['doctor'], fake.env)
    const detail = results.find(({ name }) => name === 'push services')?.detail
    expect(detail).toContain(`subject ${fake.env.PUSH_SUBJECT}; reached: ${fake.host}`)
  })

  test('fails where one thing is wrong, names it, and looks at the rest', async () => {
    const { code, stdout } = await messaging(['doctor', '--json'], { REDIS_ADDR: '127.0.0.1:1' })
    expect(code).toBe(1)
    const results: { name: string; status: string; detail: string }[] = JSON.parse(stdout)
    expect(results.filter(({ status }) => status === 'failed')).toMatchObject([
      { name: 'Redis', detail: expect.stringContaining('ECONNREFUSED') },
    ])
    expect(results.at(-1)).toMatchObject({ name: 'open files', status: 'ok' })
  })
})

describe('messaging trace', () => {
  const [ann, bob] = [crypto.randomUUID(), crypto.randomUUID()]

  test('tells what happened to a message, and nothing of what it says', async () => {
    const app = await startOn(database.dsn)
    onTestFinished(() => app.stop())
    const id = crypto.randomUUID()
    const body = { receiver_id: bob, content: 'very secret é', id }
    expect((await call(app, 'POST', `/api/send_message?user_id=${ann}`, { body })).status).toBe(201)
    const [stored] = await json<object[]>(['trace', id, '--user', ann])
    expect(stored).toEqual({
      id,
      sender_id: ann,
      receiver_id: bob,
      seq: 1,
      content_bytes: 14,
      stored_at: expect.stringMatching(/^\d{4}-.*Z$/),
      last_seq: 1,
      delivered: false,
      read: false,
      delivered_seq: 0,
      read_seq: 0,
      notification: null,
      subscriptions: 0,
    })
    const [writer, reader] = [await SocketClient.connect(app, ann), await SocketClient.connect(app, bob)]
    reader.send({ type: 'read', with: ann, seq: 1 })
    // Told when it is stored.
    await writer.next((frame) => frame.type === 'receipt' && frame['read_seq'] === 1)
    await Promise.all([writer.close(), reader.close()])
    await execute(
      database.dsn,
      `insert into push_jobs (user_id, conversation_id, kind, until, wanted_at, last_seq, pushed_seq, pushed_at)
       select '${bob}', conversation_id, 0, 1, now(), 1, 1, '2026-01-02 03:04:05+00' from conversations where '${bob}' in (user_lo, user_hi)`,
    )
    const { stdout } = await messaging(['trace', id])
    expect(stdout).toContain(`read       yes: up to 1`)
    expect(stdout).toContain('notified   yes: 2026-01-02T03:04:05')
    expect(stdout).not.toContain('secret')
    expect(await messaging(['trace', id, '--user', 'somebody-else'])).toMatchObject({
      code: 1,
      stderr: `messaging: No conversation of somebody-else holds a message ${id}: leave out --user to look at those of everybody.\n`,
    })
  })

  test('says when there is no such message', async () => {
    const unknown = await messaging(['trace', crypto.randomUUID()])
    expect(unknown).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is stored: whoever sent it has no "sent"'),
    })
    expect(await messaging(['trace', 'x'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('that is a UUID'),
    })
  })
})
