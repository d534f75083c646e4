import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseDsn, resolveDsn } from '../../../src/postgres/dsn.ts'

const messageOf = (dsn: string): string => {
  try {
    parseDsn(dsn)
  } catch (error) {
    return String(error)
  }
  throw new Error('the DSN was accepted')
}

describe('addresses', () => {
  test('takes everything from a full URL', () => {
    expect(parseDsn('postgres://user:pass@db.example:6543/chat_app?sslmode=disable')).toEqual({
      ...{ host: 'db.example', port: 6543, user: 'user', password: 'pass', database: 'chat_app', ssl: false },
    })
  })

  test.each([
    ['postgresql://u@h/d', { host: 'h', port: 5432, user: 'u', database: 'd' }],
    ['postgres:///d', { host: 'localhost', port: 5432, user: userInfo().username, database: 'd' }],
    ['postgres://u@h', { host: 'h', user: 'u', database: 'u' }],
    ['postgres://u@/d?host=/run/postgresql', { host: '/run/postgresql', user: 'u', database: 'd' }],
    ['postgres:///d?host=/tmp/x&port=6000&user=u', { host: '/tmp/x', port: 6000, user: 'u', database: 'd' }],
    ['postgres://%2Frun%2Fpg/d', { host: '/run/pg', database: 'd' }],
    ['postgres://u@:6000/d', { host: 'localhost', port: 6000, user: 'u', database: 'd' }],
    ['postgres://u@[::1]:6000/d', { host: '::1', port: 6000 }],
    ['postgres://u:p%40%3A%2F@h/d%20e', { host: 'h', password: 'p@:/', database: 'd e' }],
    ['postgres://h/?dbname=d&user=u&password=p', { host: 'h', user: 'u', password: 'p', database: 'd' }],
    ['postgres://u@h/d?connect_timeout=3', { connectionTimeoutMillis: 3000 }],
    [
      'postgres://u@h/d?application_name=chat&options=-c%20geqo%3Doff',
      { application_name: 'chat', options: '-c geqo=off' },
    ],
  ])('reads %s', (dsn, expected) => {
    expect(parseDsn(dsn)).toMatchObject(expected)
  })

  test.each([
    ['host=localhost dbname=chat', 'must start with postgres://'],
    ['mysql://u@h/d', 'must start with postgres://'],
    ['', 'must start with postgres://'],
    ['postgres://u@a,b/d', 'several hosts'],
    ['postgres://u@h:99999/d', 'not a valid URL'],
    ['postgres:///d?host=/tmp&port=abc', 'port=abc'],
    ['postgres://u@h/d?connect_timeout=soon', 'connect_timeout=soon'],
    ['postgres://u@h/d?ssl_mode=require', 'unknown parameter "ssl_mode"'],
    ['postgres://u@h/d?sslmode=on', 'sslmode=on'],
    ['postgres://u@h/d?target_session_attrs=standby', 'target_session_attrs=standby'],
    ['postgres://u:100%@h/d', 'percent-encoded'],
  ])('refuses %s and says why', (dsn, reason) => {
    expect(messageOf(dsn)).toContain(reason)
  })
})

describe('sslmode', () => {
  const ssl = (query: string) => parseDsn(`postgres://u@db.example/d?${query}`).ssl

  test('disable and allow use no TLS', () => {
    expect(ssl('sslmode=disable')).toBe(false)
    expect(ssl('sslmode=allow')).toBe(false)
  })

  test('require encrypts without verifying, as in libpq', () => {
    expect(ssl('sslmode=require')).toEqual({ rejectUnauthorized: false })
  })

  test('verify-ca verifies the certificate but not the host name', () => {
    const options = ssl('sslmode=verify-ca')
    expect(options).toMatchObject({ rejectUnauthorized: true })
    expect(options).toHaveProperty('checkServerIdentity')
  })

  test('verify-full verifies both', () => {
    expect(ssl('sslmode=verify-full')).toEqual({ rejectUnauthorized: true })
    expect(ssl('sslmode=verify-full&sslrootcert=system')).toEqual({ rejectUnauthorized: true })
  })

  test('require with a root certificate verifies against it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'messaging-dsn-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'root.crt')
    await writeFile(file, 'CERTIFICATE')
    expect(ssl(`sslmode=require&sslrootcert=${file}`)).toMatchObject({ rejectUnauthorized: true, ca: 'CERTIFICATE' })
    expect(ssl(`sslmode=require&sslcert=${file}&sslkey=${file}`)).toMatchObject({
      cert: 'CERTIFICATE',
      key: 'CERTIFICATE',
    })
  })

  test('a certificate file that is missing is named', () => {
    expect(() => ssl('sslmode=verify-full&sslrootcert=/nowhere/root.crt')).toThrow('sslrootcert=/nowhere/root.crt')
    expect(() => ssl('sslmode=require&sslcert=/nowhere/client.crt')).toThrow('only one of sslcert and sslkey')
  })

  test('a unix socket never uses TLS', () => {
    expect(parseDsn('postgres:///d?host=/run/postgresql&sslmode=require').ssl).toBe(false)
  })
})

describe('prefer', () => {
  /** Answers the SSLRequest with the given bytes, or hangs up. */
  async function server(answer: string): Promise<string> {
    const listener = createServer((socket) => socket.once('data', () => socket.end(answer)))
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    onTestFinished(() => void listener.close())
    return `postgres://u:secret@127.0.0.1:${(listener.address() as AddressInfo).port}/d`
  }

  test('uses TLS where the server offers it', async () => {
    expect(await resolveDsn(await server('S'))).toMatchObject({ ssl: { rejectUnauthorized: false } })
  })

  test('goes without where the server has none', async () => {
    expect(await resolveDsn(`${await server('N')}?sslmode=prefer`)).toMatchObject({ ssl: false })
  })

  test('fails, without the password, when nobody answers', async () => {
    const failure = await resolveDsn(await server('')).catch(String)
    expect(failure).toMatch(/cannot be reached/)
    expect(failure).not.toContain('secret')
  })

  test('asks nobody when the DSN is definite', async () => {
    expect(await resolveDsn('postgres://u@192.0.2.1/d?sslmode=require')).toMatchObject({ host: '192.0.2.1' })
  })
})

describe('secrets', () => {
  test('no error ever holds the password', () => {
    const marker = 'hunter2'
    const noise = fc.string({ unit: fc.constantFrom('%', '@', ':', '/', '?', '#', ' ', '[', '&', '=', 'a') })
    fc.assert(
      fc.property(noise, noise, (before, after) => {
        const dsn = `postgres://u:${before}${marker}${after}@h:bad/d`
        expect(() => parseDsn(dsn)).toThrow()
        expect(messageOf(dsn)).not.toContain(marker)
      }),
    )
  })
})
