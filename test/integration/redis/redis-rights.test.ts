import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RedisAudience } from '../../../src/delivery/audience.redis.ts'
import { DependencyLog } from '../../../src/lib/dependency-log.ts'
import { createCommandClient, createSubscriberClient } from '../../../src/redis/client.ts'
import { ServerPublisher } from '../../../src/redis/publisher.ts'
import { missingRights, missingSubscriberRights, probesOf, watchRights } from '../../../src/redis/rights.ts'
import { connectInstance, eventually } from '../../support/cluster-instance.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { keepLogs } from '../../support/kept-logs.ts'
import { documentSection } from '../../support/readme.ts'
import { RedisServer } from '../../support/redis.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const PREFIX = 'msg:'
const CHANNEL_COMMANDS = ['subscribe', 'unsubscribe', 'ssubscribe', 'sunsubscribe']
let server: RedisServer

beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

/** A user with these rights alone, and its connection. */
async function connectWith(...rights: string[]) {
  await server.run('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...rights)
  const warnings: string[] = []
  const warn = (fields: object): void => void warnings.push('reason' in fields ? String(fields.reason) : '')
  const info = (_fields: object, msg: string): void => void warnings.push(msg)
  const clock = new FakeClock()
  const health = new DependencyLog({ dependency: 'Redis', clock, logger: { ...silentLogger, warn, info } })
  const redis = createCommandClient({ url: `redis://app:secret@127.0.0.1:${server.port}`, health, name: 'rights' })
  watchRights({ commands: redis, prefix: PREFIX, health, clock })
  await eventually(() => redis.status === 'ready', 'a connection')
  return { redis, warnings, clock }
}

const commands = probesOf(PREFIX).map(([command]) => command.toLowerCase())
const clusterCommands = probesOf(PREFIX, true).map(([command]) => command.toLowerCase())
const isProbed = (name: string): boolean => commands.includes(name) || clusterCommands.includes(name)
/** As the README of deployment gives them. */
const ALL = documentSection('src/deploy/README.md', 'redis-acl').replaceAll('```', '').trim().split(/\s+/)

test('with exactly the rights that are named nothing is missing, and nothing is left behind', async () => {
  const { redis, warnings } = await connectWith(...ALL)
  expect(await missingRights(redis, PREFIX)).toEqual([])
  await eventually(async () => Number(await server.run('DBSIZE')) === 0, 'an empty Redis')
  expect(warnings).toEqual([])
  redis.disconnect()
})

test('with exactly these rights an instance is heard, listed and asked about', async () => {
  await server.run('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...ALL)
  const url = `redis://app:secret@127.0.0.1:${server.port}`
  const logs = keepLogs()
  const instance = await connectInstance({ url, prefix: PREFIX, logger: logs })
  const watchers = { of: () => [] }
  const health = new DependencyLog({ dependency: 'Redis', clock: new FakeClock(), logger: logs })
  const { subscriptions, broker } = instance
  const publisher = new ServerPublisher(instance.commands)
  const isConnected = (): boolean => broker.isConnected
  const audience = new RedisAudience({ publisher, subscriptions, prefix: PREFIX, watchers, health, isConnected })
  await instance.broker.subscribe('ann')
  instance.presence.connected('ann')
  await eventually(async () => (await instance.presence.online(10)).users.includes('ann'), 'presence')
  expect(await audience.of(['ann', 'bob'])).toEqual(['looking', 'nobody'])
  instance.broker.unsubscribe('ann')
  await eventually(async () => (await audience.of(['ann']))[0] === 'nobody', 'nobody')
  expect(logs.shown).toEqual([])
  await instance.close()
})

test.each(['subscribe', 'unsubscribe'])('a connection that may not %s tells exactly this', async (command) => {
  await server.run('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...ALL, `-${command}`)
  const health = new DependencyLog({ dependency: 'Redis', clock: new FakeClock(), logger: silentLogger })
  const redis = createSubscriberClient({ url: `redis://app:secret@127.0.0.1:${server.port}`, health, name: 'rights' })
  await eventually(() => redis.status === 'ready', 'a connection')
  expect(await missingSubscriberRights(redis, PREFIX)).toEqual([`+${command}`])
  redis.disconnect()
})

test.each(commands)('a user without %s is told exactly this', async (command) => {
  const { redis, warnings } = await connectWith(...ALL, `-${command}`)
  await eventually(() => warnings.length > 0, 'the warning')
  expect(warnings).toEqual([`its user lacks the rights +${command}`])
  redis.disconnect()
})

test('keys, channels and several commands are named as ACL SETUSER takes them', async () => {
  const { redis, warnings, clock } = await connectWith('~other:*', '&other:*', '+@all', '-eval', '-time')
  await eventually(() => warnings.length > 0, 'the warning')
  const missing = (warnings[0] ?? '').replace('its user lacks the rights ', '').split(' ')
  expect(missing.sort()).toEqual(['&msg:*', '+eval', '+time', '~msg:*'])
  await server.run('ACL', 'SETUSER', 'app', ...missing)
  await clock.advance(10_000)
  await eventually(() => warnings.length === 2, 'the good news')
  expect(warnings[1]).toBe('Redis works again')
  redis.disconnect()
})

test('every command that a script of the service calls is probed', () => {
  const src = fileURLToPath(new URL('../../../src/', import.meta.url))
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  const called = files.flatMap((path) => [...readFileSync(src + path, 'utf8').matchAll(/redis\.p?call\('(\w+)'/g)])
  const names = new Set(called.map(([, name = '']) => name.toLowerCase()))
  expect(names.size).toBeGreaterThan(10)
  expect([...names].filter((name) => !isProbed(name))).toEqual([])
})

test('every command that the service sends by itself is probed', () => {
  const src = fileURLToPath(new URL('../../../src/', import.meta.url))
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /^redis\/|\.redis\.ts$/.test(path),
  )
  const texts = files.map((path) => readFileSync(src + path, 'utf8'))
  const sent = texts.flatMap((text) => [
    ...text.matchAll(/\b(?:commands|#redis)\.([a-z]+)\(/g),
    ...text.matchAll(/\.p?call\(\s*'(\w+)'/g),
  ])
  const names = new Set(sent.map(([, name = '']) => name.toLowerCase()))
  const other = ['on', 'disconnect', 'call', 'nodes', ...CHANNEL_COMMANDS]
  expect([names.has('zmscore'), names.has('pubsub')]).toEqual([true, true])
  expect([...names].filter((name) => !other.includes(name) && !isProbed(name))).toEqual([])
})
