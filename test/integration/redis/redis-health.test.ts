// What people read in the log when Redis cannot be used: the reason, once, and never a secret.
import { afterEach, expect, test } from 'vitest'
import { createLogger } from '../../../src/telemetry/logger.ts'
import { eventually, openInstance, type RedisInstance } from '../../support/cluster-instance.ts'
import { outputTo } from '../../support/log-lines.ts'
import { RedisServer } from '../../support/redis.ts'

const CANARY = 'c4nary-pa$$word'

interface Line {
  readonly level: string
  readonly msg: string
  readonly reason?: string
}

let server: RedisServer | undefined
let instance: RedisInstance | undefined
let lines: Line[] = []

afterEach(async () => {
  await instance?.close()
  await server?.stop()
  lines = []
})

/** Everything that an instance logs, at every level, about the Redis of this URL. */
function open(url: string): RedisInstance {
  const output = outputTo((line) => void lines.push(JSON.parse(line)))
  instance = openInstance({ url, prefix: 'msg:', logger: createLogger({ level: 'trace', output }) })
  return instance
}

const told = (): Line[] => lines.filter(({ level }) => level !== 'debug')
const failures = (): number => lines.filter(({ msg }) => msg === 'a dependency failed').length

test.each([
  { what: 'a wrong password', credentials: `:${encodeURIComponent(CANARY)}@`, reason: /^WRONGPASS/ },
  { what: 'a wrong user', credentials: `ann:${encodeURIComponent(CANARY)}@`, reason: /^WRONGPASS/ },
  { what: 'no password', credentials: '', reason: /^NOAUTH/ },
])('$what is told once with what Redis says, and at no level with the password', async ({ credentials, reason }) => {
  server = await RedisServer.start(['--requirepass', 'right'])
  open(`redis://${credentials}127.0.0.1:${server.port}`)
  // Each of the two connections tries again and again.
  await eventually(() => failures() >= 8, 'eight attempts')
  expect(told()).toEqual([
    expect.objectContaining({ level: 'warn', msg: 'Redis fails', reason: expect.stringMatching(reason) }),
  ])
  expect(JSON.stringify(lines)).not.toContain('c4nary')
})

test('that nobody is there is told once, then that it works', async () => {
  server = await RedisServer.start()
  await server.kill()
  const { subscriptions, commands } = open(`redis://127.0.0.1:${server.port}`)
  await eventually(() => failures() >= 8, 'eight attempts')
  await server.startAgain()
  await eventually(() => subscriptions.isConnected && commands.status === 'ready', 'a connection')
  await eventually(() => told().length >= 2, 'the return')
  expect(told().map(({ level, msg, reason }) => [level, msg, reason])).toEqual([
    ['warn', 'Redis fails', `connect ECONNREFUSED 127.0.0.1:${server.port}`],
    ['info', 'Redis works again', undefined],
  ])
})

test('that a connection was lost is told, and not that we end one ourselves', async () => {
  server = await RedisServer.start()
  const { subscriptions, commands } = open(server.url)
  const isUp = (): boolean => subscriptions.isConnected && commands.status === 'ready'
  await eventually(isUp, 'a connection')
  await subscriptions.add('msg:user:ann')
  expect(told()).toEqual([])
  await server.run('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await eventually(() => told().length >= 2, 'the loss and the return')
  expect(told().map(({ msg }) => msg)).toEqual(['Redis fails', 'Redis works again'])
  await eventually(isUp, 'a connection')
  await instance?.close()
  await new Promise((resolve) => setImmediate(resolve))
  expect(told()).toHaveLength(2)
})

test('a channel that may not be subscribed is told with what Redis says, and is subscribed once it may', async () => {
  server = await RedisServer.start()
  await server.run('ACL', 'SETUSER', 'app', 'on', `>${CANARY}`, '~*', '+@all', 'resetchannels')
  const { subscriptions } = open(`redis://app:${encodeURIComponent(CANARY)}@127.0.0.1:${server.port}`)
  let gaps = 0
  subscriptions.onGap(() => {
    gaps += 1
  })
  await subscriptions.add('msg:user:ann')
  await eventually(() => told().some(({ reason }) => reason?.startsWith('NOPERM')), 'the reason')
  // It is told, and asked again, once a second and not as fast as it can.
  const before = failures()
  await eventually(() => failures() > before, 'another attempt')
  expect(subscriptions.isConnected).toBe(false)
  expect(gaps).toBe(0)
  await server.run('ACL', 'SETUSER', 'app', '&msg:*')
  await eventually(() => subscriptions.isConnected && gaps === 1, 'the subscription')
  // One reason for subscribing, and one for publishing.
  const reasons = told().filter(({ level }) => level === 'warn')
  expect(reasons.map(({ reason }) => /NOPERM|script/.test(reason ?? ''))).toEqual([true, true])
  expect(JSON.stringify(lines)).not.toContain('c4nary')
})
