// Who is online, asked and watched on three instances.
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import { startRedis } from '../support/played-redis.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

/** So long that none runs out because the machine is busy. */
const LEASE_MS = 15_000
/** Shorter than by default; at full length it is played by the run of faults. */
const GRACE_MS = 2_000
const TIMING = { INSTANCE_LEASE_MS: String(LEASE_MS), OFFLINE_GRACE_MS: String(GRACE_MS) }

const services = useServices('patient')
let database: TestDatabase
let redis: RedisSetUp
let one: ServiceProcess
let two: ServiceProcess
let three: ServiceProcess

beforeAll(async () => {
  database = await createDatabase()
  redis = await startRedis()
  const env = { POSTGRES_DSN: database.dsn, ...redis.env, ...TIMING }
  ;[one, two, three] = await Promise.all([services.start(env), services.start(env), services.start(env)])
})
afterAll(async () => {
  await Promise.all([one, two, three].map((instance) => instance.kill9()))
  await redis.stop()
  await database.drop()
})

/** Closed with its test, also when that fails: somebody who stays is online in the tests that follow. */
async function connect(instance: ServiceProcess, user: string): Promise<SocketClient> {
  const client = await SocketClient.connect(instance, user)
  onTestFinished(() => client.cut())
  return client
}

async function online(instance: ServiceProcess): Promise<string[]> {
  const { status, body } = await get(instance, '/api/online_users?limit=500')
  if (status !== 200) throw new Error(`answered ${status}`)
  return body?.online_users as string[]
}

/** Milliseconds until every instance lists exactly these. */
async function allList(users: readonly string[], instances = [one, two, three]): Promise<number> {
  const startMs = performance.now()
  const agree = async (): Promise<boolean> => {
    const lists = await Promise.all(instances.map(online))
    return lists.every((list) => String(list) === String(users))
  }
  await eventually(agree, `everywhere online: ${users}`)
  return performance.now() - startMs
}

const statusesOf = ({ frames }: SocketClient, user: string): unknown[] =>
  frames.filter(({ type, user_id }) => type === 'presence' && user_id === user).map(({ status }) => status)

test('is the same on every instance, paged', async () => {
  const users = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7']
  const sockets = await Promise.all(
    users.map((user, index) => connect([one, two, three][index % 3] as ServiceProcess, user)),
  )
  const cameMs = await allList(users)
  const first = await get(three, '/api/online_users?limit=3')
  expect(first.body).toEqual({ online_users: ['p1', 'p2', 'p3'], count: 7, next_cursor: expect.any(String) })
  const last = await get(one, `/api/online_users?limit=5&cursor=${first.body?.next_cursor}`)
  expect(last.body).toEqual({ online_users: ['p4', 'p5', 'p6', 'p7'], count: 7, next_cursor: null })
  await Promise.all(sockets.map((socket) => socket.close()))
  const wentMs = await allList([])
  figure(`listed everywhere ${cameMs.toFixed(0)} ms after connecting, gone ${wentMs.toFixed(0)} ms after a clean close`)
})

test('is known to an instance from its first request on', async () => {
  const ann = await connect(one, 'ann')
  await allList(['ann'])
  const late = await services.start({ POSTGRES_DSN: database.dsn, ...redis.env, ...TIMING })
  expect(await online(late)).toEqual(['ann'])
  await late.stop()
  await ann.close()
  await allList([])
})

test('is told to those who watch on another instance: at once, online at once, offline after the grace', async () => {
  const watcher = await connect(one, 'w1')
  watcher.send({ type: 'watch', user_ids: ['v1', 'v2'] })
  expect(await watcher.next('presence')).toMatchObject({ user_id: 'v1', status: 'offline' })
  expect(await watcher.next('presence')).toMatchObject({ user_id: 'v2', status: 'offline' })
  const [phone, laptop] = [await connect(two, 'v1'), await connect(three, 'v1')]
  expect(await watcher.next('presence')).toMatchObject({ user_id: 'v1', status: 'online' })
  await phone.close()
  // A reload: gone and back on another instance, within the grace.
  await laptop.close()
  const again = await connect(three, 'v1')
  const v2 = await connect(two, 'v2')
  expect(await watcher.next('presence')).toMatchObject({ user_id: 'v2', status: 'online' })
  const leftMs = Date.now()
  await again.close()
  const left = await watcher.next(({ type, user_id }) => type === 'presence' && user_id === 'v1')
  expect(left).toMatchObject({ status: 'offline' })
  expect(Date.now() - leftMs).toBeGreaterThanOrEqual(GRACE_MS)
  const lastSeenMs = Date.parse(String(left.last_seen))
  expect(lastSeenMs).toBeGreaterThanOrEqual(leftMs - 1)
  // When they left, and not when that was told.
  expect(lastSeenMs).toBeLessThan(Date.now() - GRACE_MS / 2)
  expect(statusesOf(watcher, 'v1')).toEqual(['offline', 'online', 'offline'])
  watcher.send({ type: 'unwatch', user_ids: ['v2'] })
  await watcher.settled()
  await v2.close()
  const other = await connect(two, 'w2')
  other.send({ type: 'watch', user_ids: ['v2'] })
  const seen = await other.next('presence')
  expect(seen).toMatchObject({ user_id: 'v2' })
  await allList(['w1', 'w2'])
  await watcher.settled()
  expect(statusesOf(watcher, 'v2')).toEqual(['offline', 'online'])
  await Promise.all([watcher, other].map((socket) => socket.close()))
  await allList([])
})

test('is unknown while Redis is away, never offline, and right again when it is back empty', async () => {
  const [ann, bob, watcher] = [await connect(one, 'ann'), await connect(two, 'bob'), await connect(three, 'wat')]
  watcher.send({ type: 'watch', user_ids: ['ann', 'bob'] })
  await watcher.next('presence')
  await watcher.next('presence')
  await allList(['ann', 'bob', 'wat'])
  await redis.kill()
  await eventually(() => statusesOf(watcher, 'ann').at(-1) === 'unknown', 'unknown to be pushed')
  const away = await get(one, '/api/online_users')
  expect(away.status).toBe(503)
  expect(away.body).toMatchObject({ error: { code: 'presence_unknown' } })
  expect(away.headers.get('retry-after')).toMatch(/^\d+$/)
  const late = await connect(three, 'late')
  late.send({ type: 'watch', user_ids: ['bob'] })
  expect(await late.next('presence')).toMatchObject({ user_id: 'bob', status: 'unknown' })
  // Sends go on, the socket of the other instance included.
  ann.send({ type: 'send', receiver_id: 'bob', content: 'without Redis' })
  await ann.next('sent')
  expect(await bob.next('message')).toMatchObject({ content: 'without Redis' })
  await redis.startAgain()
  const wholeMs = await allList(['ann', 'bob', 'late', 'wat'])
  await eventually(() => statusesOf(watcher, 'ann').at(-1) === 'online', 'online to be pushed')
  await eventually(() => statusesOf(late, 'bob').at(-1) === 'online', 'online to be pushed to the late one')
  figure(`presence whole ${wholeMs.toFixed(0)} ms after Redis came back empty`)
  // On a busy machine Redis may seem to be away once more; what never happens is that somebody is called offline.
  expect(statusesOf(watcher, 'bob').slice(0, 3)).toEqual(['online', 'unknown', 'online'])
  expect(statusesOf(late, 'bob').slice(0, 2)).toEqual(['unknown', 'online'])
  expect([...statusesOf(watcher, 'bob'), ...statusesOf(late, 'bob')]).not.toContain('offline')
  await Promise.all([ann, bob, late].map((socket) => socket.close()))
  await allList(['wat'])
  await watcher.close()
  await allList([])
})

test('survives FLUSHALL without a word to those who watch', async () => {
  const [ann, watcher] = [await connect(one, 'ann'), await connect(three, 'wat')]
  watcher.send({ type: 'watch', user_ids: ['ann'] })
  await watcher.next('presence')
  await allList(['ann', 'wat'])
  await redis.run('FLUSHALL')
  const wholeMs = await allList(['ann', 'wat'])
  figure(`presence whole ${wholeMs.toFixed(0)} ms after FLUSHALL`)
  await ann.close()
  await eventually(() => statusesOf(watcher, 'ann').at(-1) === 'offline', 'offline')
  expect(statusesOf(watcher, 'ann')).toEqual(['online', 'offline'])
  await watcher.close()
  await allList([])
})

test('forgets who was on a killed instance, also for those who watch, and keeps who has come back elsewhere', async () => {
  const [ghost, back, watcher] = [await connect(two, 'ghost'), await connect(two, 'back'), await connect(three, 'wat')]
  watcher.send({ type: 'watch', user_ids: ['ghost', 'back'] })
  await watcher.next('presence')
  await watcher.next('presence')
  await allList(['back', 'ghost', 'wat'])
  const killed = String(await redis.run('SMEMBERS', 'msg:where:ghost'))
  // Others have to have seen its lease before they can miss it.
  const lease = (): Promise<unknown> => redis.run('ZSCORE', 'msg:instances', killed)
  const before = await lease()
  await eventually(async () => (await lease()) !== before, 'a renewal')
  await two.kill9()
  const again = await connect(one, 'back')
  expect(Number(await lease()) - Date.now()).toBeLessThanOrEqual(LEASE_MS)
  // It ends now, not seconds later.
  await redis.run('ZADD', 'msg:instances', 'XX', Date.now() - 1, killed)
  const goneMs = await allList(['back', 'wat'], [one, three])
  figure(`a ghost of a killed instance was gone ${goneMs.toFixed(0)} ms after the end of its lease`)
  await eventually(() => statusesOf(watcher, 'ghost').at(-1) === 'offline', 'offline')
  expect(statusesOf(watcher, 'back')).toEqual(['online'])
  await Promise.all([ghost.closed, back.closed, again.close(), watcher.close()])
})
