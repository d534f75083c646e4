// How Redis is found, and spoken to, in the ways in which people run it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config.ts'
import { addressOptions, clusterNodes, nodeAddress } from '../../src/redis/address.ts'

let directory: string
let file: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'messaging-test-'))
  file = join(directory, 'some.pem')
  writeFileSync(file, 'first')
})
afterAll(() => rmSync(directory, { recursive: true }))

function mistakesOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
}

/** As the client would connect. */
function optionsOf(env: Record<string, string>) {
  const { address } = loadConfig(env).redis
  if (!address) throw new Error('there is no address')
  return addressOptions(address)
}

describe('one server', () => {
  test.each([
    ['localhost:6380', { host: 'localhost', port: 6380, db: 0 }],
    ['redis://h', { host: 'h', port: 6379, db: 0 }],
    ['[::1]:6379', { host: '::1', port: 6379, db: 0 }],
    ['redis://u:p%25%40@h:1/3', { host: 'h', port: 1, username: 'u', password: 'p%@', db: 3 }],
    ['redis://:p@h', { host: 'h', port: 6379, password: 'p', db: 0 }],
    ['rediss://h:1', { host: 'h', port: 1, tls: {}, db: 0 }],
  ])('%s is read whole', (address, options) => {
    expect(optionsOf({ REDIS_ADDR: address })).toEqual(options)
  })

  test('over TLS is shown the files, each as it is when a connection is made', () => {
    const files = { REDIS_CA_FILE: file, REDIS_CERT_FILE: file, REDIS_KEY_FILE: file }
    const { tls } = optionsOf({ REDIS_ADDR: 'rediss://h', ...files })
    expect({ ...tls }).toEqual({ ca: 'first', cert: 'first', key: 'first' })
    writeFileSync(file, 'second')
    expect({ ...tls }).toEqual({ ca: 'second', cert: 'second', key: 'second' })
  })

  test.each([
    [{ REDIS_ADDR: 'redis://h' }, ['REDIS_CA_FILE']],
    [{ REDIS_ADDR: 'rediss://h' }, ['REDIS_CERT_FILE']],
    [{ REDIS_ADDR: 'rediss://h' }, ['REDIS_KEY_FILE']],
  ])('%o does not go with %s alone', (env, names) => {
    expect(mistakesOf({ ...env, ...Object.fromEntries(names.map((name) => [name, file])) })).toHaveLength(1)
  })
})

describe('a cluster', () => {
  test('is asked for its nodes at the address, and at further ones', () => {
    const nodesOf = (env: Record<string, string>) => {
      const { address } = loadConfig(env).redis
      return address && clusterNodes(address)
    }
    expect(nodesOf({ REDIS_ADDR: 'redis://a', REDIS_CLUSTER: 'on' })).toEqual([{ host: 'a', port: 6379 }])
    expect(nodesOf({ REDIS_ADDR: 'a:1', REDIS_CLUSTER: 'b:2, [::1]:3' })).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
      { host: '::1', port: 3 },
    ])
  })

  test('shares user, password and TLS among its nodes', () => {
    const address = loadConfig({ REDIS_ADDR: 'rediss://u:p%25@a:1', REDIS_CLUSTER: 'on' }).redis.address
    const options = address && addressOptions(nodeAddress(address, 'b:2'))
    expect(options).toEqual({ host: 'b', port: 2, username: 'u', password: 'p%', tls: {}, db: 0 })
    expect(address && addressOptions(nodeAddress(address, '::1:2'))).toMatchObject({ host: '::1', port: 2 })
  })

  test.each(['off', 'a', 'a:1,', 'redis://a:1', 'a:1,b:x', 'u@a:1'])('cannot be %s', (list) => {
    expect(mistakesOf({ REDIS_ADDR: 'a:1', REDIS_CLUSTER: list })).toEqual([
      expect.stringMatching(/^REDIS_CLUSTER: .* is not on, or a comma-separated list/),
    ])
  })

  test.each([
    [{}, /^REDIS_ADDR: is missing beside REDIS_CLUSTER/],
    [{ REDIS_ADDR: 'redis://a/1' }, /^REDIS_ADDR: a Redis Cluster has no database but 0/],
    [{ REDIS_ADDR: 'redis://a', REDIS_SENTINELS: 'b:1' }, /^REDIS_SENTINELS: does not go with REDIS_CLUSTER/],
    [{ REDIS_ADDR: 'redis://a', REDIS_PREFIX: '{x}:' }, /^REDIS_PREFIX: must have no \{/],
  ])('does not go with %o', (env, mistake) => {
    expect(mistakesOf({ ...env, REDIS_CLUSTER: 'on' })).toEqual([expect.stringMatching(mistake)])
  })
})

describe('sentinels', () => {
  const named = { REDIS_ADDR: 'redis://app:secret@My_Master/2' }

  test('are asked for the name that stands for the host', () => {
    const options = optionsOf({ ...named, REDIS_SENTINELS: 'a:26379, b:1,redis://c,[::1]:2' })
    expect(options).toMatchObject({ name: 'My_Master', username: 'app', password: 'secret', db: 2 })
    expect(options).not.toHaveProperty('host')
    expect(options.sentinels).toEqual([
      { host: 'a', port: 26_379 },
      { host: 'b', port: 1 },
      { host: 'c', port: 26_379 },
      { host: '::1', port: 2 },
    ])
  })

  test('have a user, a password and TLS of their own', () => {
    const REDIS_SENTINELS = 'rediss://u:s%2C1@a,rediss://u:s%2C1@b'
    const options = optionsOf({ ...named, REDIS_SENTINELS, REDIS_CA_FILE: file })
    expect(options).toMatchObject({ sentinelUsername: 'u', sentinelPassword: 's,1', enableTLSForSentinelMode: false })
    expect(Object.keys(options.sentinelTLS ?? {})).toEqual(['ca'])
    expect(options).not.toHaveProperty('tls')
    const { secrets } = loadConfig({ ...named, REDIS_SENTINELS }).log
    expect(secrets).toEqual(expect.arrayContaining(['s,1', 's%2C1', 'secret']))
  })

  test.each(['a', 'a:1,', 'a:1,b', 'redis://a/1', 'redis://x@a,redis://y@b', 'redis://a,rediss://b', 'http://a:1'])(
    'cannot be %s',
    (list) => {
      expect(mistakesOf({ ...named, REDIS_SENTINELS: list })).toEqual([
        expect.stringMatching(/^REDIS_SENTINELS: the value is not a comma-separated list/),
      ])
    },
  )

  test('need a name, and no port beside it', () => {
    expect(mistakesOf({ REDIS_SENTINELS: 'a:1' })).toEqual([expect.stringMatching(/^REDIS_ADDR: is missing/)])
    for (const REDIS_ADDR of ['redis://mymaster:6379', 'mymaster:6379']) {
      expect(mistakesOf({ REDIS_SENTINELS: 'a:1', REDIS_ADDR })).toEqual([
        expect.stringMatching(/^REDIS_ADDR: has a port beside REDIS_SENTINELS/),
      ])
    }
  })
})
