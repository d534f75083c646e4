import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CONFIG_VARIABLES, ConfigError, loadConfig } from '../../src/config.ts'

function mistakesOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
  return []
}

function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen)
}

describe('loadConfig', () => {
  const certificates = { directory: '', cert: '', key: '' }
  beforeAll(() => {
    const directory = mkdtempSync(join(tmpdir(), 'config-'))
    Object.assign(certificates, { directory, cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') })
    writeFileSync(certificates.cert, 'certificate')
    writeFileSync(certificates.key, 'key')
  })
  afterAll(() => rmSync(certificates.directory, { recursive: true }))

  test('has a default for everything', () => {
    expect(loadConfig({})).toEqual({
      unused: [],
      http: {
        host: '127.0.0.1',
        port: 8080,
        tls: undefined,
        isShared: false,
        idleTimeoutSeconds: 32,
        maxBackpressureBytes: 1_048_576,
        trustedProxies: [],
      },
      origins: { any: false, exact: [], wildcards: [] },
      auth: { mode: 'none', hasUserSearch: true },
      metricsToken: undefined,
      hostNames: ['127.0.0.1'],
      guard: {
        userCommandsPerSecond: 10_000,
        addressRequestsPerSecond: 50_000,
        upgradesPerSecond: 5000,
        addressRefusalsPerSecond: 10,
        maxConnections: 100_000,
        maxConnectionsPerAddress: 20_000,
      },
      postgres: { dsn: undefined, migrationDsn: undefined, dataDir: resolve('data'), poolMax: 8 },
      workers: 1,
      redis: { address: undefined, prefix: 'msg:' },
      writer: { maxQueueRows: 50_000, maxQueueBytes: 33_554_432, maxQueueAgeMs: 1800, maxBatchRows: 2000 },
      presence: { leaseMs: 11_000, offlineGraceMs: 5000 },
      delivery: { catchupConcurrency: 64, laggingTimeoutMs: 30_000 },
      limits: { maxContentBytes: 16_384, maxConnectionsPerUser: 10 },
      web: { isOn: true },
      log: { level: 'info', format: 'auto', tellsRequests: false, secrets: [] },
      shutdown: { timeoutMs: 25_000, drainReconnectSpreadMs: 10_000 },
    })
  })

  test('takes every variable from the environment it is given', () => {
    const config = loadConfig({
      HOST: '0.0.0.0',
      PORT: '0',
      POSTGRES_DSN: 'postgres://user:pass@localhost:5432/chat_app?sslmode=disable',
      REDIS_ADDR: 'localhost:6379',
      REDIS_PREFIX: 'chat:',
      DATA_DIR: 'elsewhere',
      AUTH: 'none',
      MAX_CONTENT_BYTES: '1',
      LOG_LEVEL: 'silent',
      TLS_CERT_FILE: certificates.cert,
      TLS_KEY_FILE: certificates.key,
      DRAIN_RECONNECT_SPREAD_MS: '0',
    })
    expect(config).toMatchObject({
      http: { host: '0.0.0.0', port: 0, tls: { certFile: certificates.cert, keyFile: certificates.key } },
      postgres: {
        dsn: 'postgres://user:pass@localhost:5432/chat_app?sslmode=disable',
        dataDir: resolve('elsewhere'),
      },
      redis: {
        address: {
          url: 'redis://localhost:6379',
          sentinels: undefined,
          cluster: undefined,
          tls: { ca: undefined, cert: undefined, key: undefined },
        },
        prefix: 'chat:',
      },
      limits: { maxContentBytes: 1 },
      log: { level: 'silent' },
      shutdown: { drainReconnectSpreadMs: 0 },
    })
  })

  test('is frozen through and through', () => {
    expect(isDeeplyFrozen(loadConfig({ TLS_CERT_FILE: certificates.cert, TLS_KEY_FILE: certificates.key }))).toBe(true)
  })

  test('takes an empty or blank value for unset', () => {
    const empty = Object.fromEntries(CONFIG_VARIABLES.map(({ name }, index) => [name, index % 2 ? '' : ' ']))
    expect(loadConfig(empty)).toEqual(loadConfig({}))
  })

  test('reports all mistakes at once, one line each, by the name of the variable', () => {
    const mistakes = mistakesOf({ PORT: 'x', LOG_LEVEL: 'loud', TLS_CERT_FILE: certificates.cert, HOST: '0.0.0.0' })
    expect(mistakes).toEqual([
      'PORT: "x" is not a whole number from 0 to 65535',
      'LOG_LEVEL: "loud" is not one of fatal, error, warn, info, debug, trace, silent',
      'TLS_KEY_FILE: is missing beside TLS_CERT_FILE',
      expect.stringMatching(/^AUTH: is not set and HOST is 0\.0\.0\.0.*AUTH=none.*HOST=127\.0\.0\.1$/),
    ])
    expect(new ConfigError(mistakes).message.split('\n')).toHaveLength(5)
  })

  test.each([
    ['PORT', ['65536', '-1', '1.5', '1e3', '0x10', '９', '9'.repeat(400)]],
    ['HOST', ['a b', 'http://host', 'host/path']],
    ['REDIS_ADDR', ['localhost', ':6379', 'localhost:99999', 'http://localhost:6379', 'redis://', 'redis:6379/x']],
    ['REDIS_ADDR', ['redis://h/abc', 'redis://h/-1', 'redis://h/1/2', 'redis://h/%31', `redis://h/${'9'.repeat(10)}`]],
    ['REDIS_ADDR', ['redis://h?db=x', 'redis://h/1?family=6', 'redis://h/1#x', 'redis://:p%@h', 'redis://u%ff@h']],
    ['AUTH', ['None', 'basic']],
    ['LOG_LEVEL', ['INFO', '30']],
    ['MAX_CONTENT_BYTES', ['0', '21505']],
    ['MAX_CONNECTIONS_PER_USER', ['0', '1001']],
    ['IDLE_TIMEOUT_SECONDS', ['0', '7', '961']],
    ['WRITER_MAX_QUEUE_AGE_MS', ['0', '2001']],
    ['ALLOWED_ORIGINS', ['app.example.com', 'https://a.example/', 'https://a.example,', 'https://*.com', 'null']],
    [
      'PUBLIC_URL',
      ['chat.example.com', 'https://a.example/chat', 'capacitor://localhost', 'ws://a', 'https://*.a.b', '*'],
    ],
    ['TRUSTED_PROXIES', ['proxy', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/3', '::/129', '10.0.0.1,,10.0.0.2']],
    ['TLS_CERT_FILE', ['gone.pem', '.', 'package.json/x']],
  ])('refuses a wrong %s', (name, values) => {
    for (const value of values) {
      expect(mistakesOf({ [name]: value })[0], value).toMatch(new RegExp(`^${name}: .* is not .+`))
    }
  })

  test.each([
    ['redis://:secret@host:6379/1', 'redis://:secret@host:6379/1'],
    ['rediss://host', 'rediss://host'],
    ['redis://host/', 'redis://host/'],
    ['redis://u:p%25%40@host', 'redis://u:p%25%40@host'],
    ['[::1]:6379', 'redis://[::1]:6379'],
  ])('accepts %s as REDIS_ADDR', (given, url) => {
    expect(loadConfig({ REDIS_ADDR: given }).redis.address?.url).toBe(url)
  })

  test.each([
    ['redis://host', 'msg:'],
    ['redis://host/', 'msg:'],
    ['redis://host/0', 'msg:'],
    ['redis://host/3', 'msg:db3:'],
  ])('names in the database of %s begin with %s', (given, prefix) => {
    expect(loadConfig({ REDIS_ADDR: given }).redis.prefix).toBe(prefix)
  })

  test.each([
    ['localhost', 'must start with postgres://'],
    ['mysql://host/db', 'must start with postgres://'],
    ['postgres://host:port/db', 'is not a valid URL'],
    ['postgres://host/db?sslmode=nonsense', 'has sslmode=nonsense; it may be disable, allow'],
    ['postgres://host/db?sslmode=verify-full&sslrootcert=/nowhere/root.crt', 'sslrootcert=/nowhere/root.crt'],
  ])('says by the name of the variable what is wrong with the DSN %s', (dsn, reason) => {
    expect(mistakesOf({ POSTGRES_DSN: dsn })).toEqual([expect.stringMatching(/^POSTGRES_DSN: The PostgreSQL DSN /)])
    const mistakes = mistakesOf({ POSTGRES_DSN: 'postgres://u@host/db', MIGRATION_DSN: dsn })
    expect(mistakes).toEqual([expect.stringMatching(/^MIGRATION_DSN: The PostgreSQL DSN /)])
    expect(mistakes[0]).toContain(reason)
  })

  test.each(['postgres://user@/db?host=/var/run/postgresql', 'postgres:///db', 'postgresql://%2Frun%2Fpg/db'])(
    'accepts %s, which is no URL for a browser, as a DSN',
    (dsn) => {
      expect(loadConfig({ POSTGRES_DSN: dsn, MIGRATION_DSN: dsn }).postgres).toMatchObject({ dsn, migrationDsn: dsn })
    },
  )

  test('never repeats what may hold a password', () => {
    const mistakes = mistakesOf({ POSTGRES_DSN: 'mysql://u:hunter2@host/db', REDIS_ADDR: 'x://:hunter2@host' })
    expect(mistakes).toHaveLength(2)
    expect(mistakes.join('\n')).not.toContain('hunter2')
  })

  test('accepts everybody without authentication on loopback only, unless told so', () => {
    for (const HOST of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) expect(mistakesOf({ HOST })).toEqual([])
    for (const HOST of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.example.org']) {
      expect(mistakesOf({ HOST }), HOST).toHaveLength(1)
      expect(mistakesOf({ HOST, AUTH: 'none' }), HOST).toEqual([])
    }
  })

  test('lets pages of the public address in beside those listed', () => {
    const { origins } = loadConfig({
      ALLOWED_ORIGINS: 'capacitor://localhost, *',
      PUBLIC_URL: 'https://Chat.example:443/',
    })
    expect(origins).toEqual({ any: true, exact: ['capacitor://localhost', 'https://chat.example'], wildcards: [] })
    expect(isDeeplyFrozen(loadConfig({ ALLOWED_ORIGINS: 'https://*.a.example' }).origins)).toBe(true)
  })

  test('names the hosts that may be asked for as long as everybody on this machine may speak for anybody', () => {
    expect(loadConfig({ HOST: 'localhost', PUBLIC_URL: 'http://Dev.example:3000' }).hostNames).toEqual([
      'localhost',
      'dev.example',
    ])
    expect(loadConfig({ HOST: '::1' }).hostNames).toEqual(['[::1]'])
    expect(loadConfig({ HOST: '0.0.0.0', AUTH: 'none' }).hostNames).toBeUndefined()
  })

  test('advises what it would accept where AUTH is not set', () => {
    const [advice = ''] = mistakesOf({ HOST: '0.0.0.0' })
    const variables = [...advice.matchAll(/\b(\w+)=(\S+?),?(?=\s|$)/g)].map(([, name = '', value = '']) => ({
      [name]: value,
    }))
    expect(variables).toHaveLength(2)
    for (const advised of variables) expect(mistakesOf({ HOST: '0.0.0.0', ...advised })).toEqual([])
  })

  test('needs the DSN to serve by beside the one to migrate by', () => {
    expect(mistakesOf({ MIGRATION_DSN: 'postgres://u@h/d' })).toEqual(['POSTGRES_DSN: is missing beside MIGRATION_DSN'])
    expect(mistakesOf({ MIGRATION_DSN: 'postgres://u@h/d', POSTGRES_DSN: 'postgres://v@h/d' })).toEqual([])
  })

  test('takes the name of a schema that needs no quotes, beside a DSN', () => {
    const named = (POSTGRES_SCHEMA: string) => ({ POSTGRES_DSN: 'postgres://u@h/d', POSTGRES_SCHEMA })
    for (const name of ['chat', '_a1', 'order', 'a'.repeat(63)]) {
      expect(loadConfig(named(name)).postgres.schema).toBe(name)
    }
    const wrong = ['Chat', '1a', 'a-b', 'a"b', 'a, public', '$user', 'pg_chat', 'information_schema', 'a'.repeat(64)]
    for (const name of wrong) expect(mistakesOf(named(name)), name).toHaveLength(1)
    expect(mistakesOf({ POSTGRES_SCHEMA: 'chat' })).toEqual(['POSTGRES_DSN: is missing beside POSTGRES_SCHEMA'])
  })

  test('needs the two TLS files together and readable', () => {
    expect(mistakesOf({ TLS_CERT_FILE: certificates.cert })).toHaveLength(1)
    expect(mistakesOf({ TLS_KEY_FILE: certificates.key })).toHaveLength(1)
    chmodSync(certificates.key, 0o000)
    const mistakes = mistakesOf({ TLS_CERT_FILE: certificates.cert, TLS_KEY_FILE: certificates.key })
    chmodSync(certificates.key, 0o600)
    // No permission stops the superuser, under whom containers often run the tests.
    expect(mistakes).toHaveLength(process.getuid?.() === 0 ? 0 : 1)
  })
})

test('a killed instance and a reload of a page are given the times that the README promises', () => {
  const { presence } = loadConfig({})
  // A lease, a renewal of whoever sweeps (3/11 of a lease) and the grace: within 20 s.
  expect(presence.leaseMs * (1 + 3 / 11) + presence.offlineGraceMs).toBeLessThanOrEqual(20_000)
  expect(presence.offlineGraceMs).toBe(5_000)
})
