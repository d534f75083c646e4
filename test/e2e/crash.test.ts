// Killing any process under load: what was acked is in the history exactly once, and clients that go on lose nothing.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, execute } from '../support/databases.ts'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { type Host, Ledger, sendByRest, sendBySocket } from '../support/load.ts'
import { get } from '../support/rest-client.ts'
import { type Environment, type ServiceProcess, type Target, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { rowsOf, WAITING_FOR_STANDBY } from '../support/transactions.ts'

const services = useServices()
const SOCKET_USERS = ['s0', 's1', 's2', 's3']
const REST_USERS = ['r0', 'r1', 'r2', 'r3']
const USERS = [...SOCKET_USERS, ...REST_USERS]
const OVER_SOCKET = 800
const OVER_REST = 40
const TOTAL = SOCKET_USERS.length * OVER_SOCKET + REST_USERS.length * OVER_REST
let ledger: Ledger

beforeEach(() => {
  ledger = new Ledger()
})

/** All clients at once; resolves when everything is acked. */
function runLoad(host: Host, seed: number): Promise<unknown> {
  return Promise.all([
    ...SOCKET_USERS.map((user, index) =>
      sendBySocket(host, ledger, ledger.plan(user, USERS, OVER_SOCKET, seed + index)),
    ),
    ...REST_USERS.map((user, index) =>
      sendByRest(host, ledger, ledger.plan(user, USERS, OVER_REST, seed + 100 + index)),
    ),
  ])
}

async function expectConsistent(dsn: string): Promise<void> {
  expect(ledger.acked).toBe(TOTAL)
  expect(await ledger.faults(dsn)).toEqual([])
}

/** Pages through what a client sees of one conversation and compares it with the ledger. */
async function expectHistory(service: Target, a: string, b: string): Promise<void> {
  const seen: unknown[] = []
  for (let after = 0, more = true; more; ) {
    const { body } = await get(service, `/api/messages?user_id=${a}&with=${b}&after=${after}&limit=500`)
    const messages = body?.messages as { id: string; seq: number }[]
    seen.push(...messages.map(({ id, seq }) => [seq, id]))
    after = messages.at(-1)?.seq ?? after
    more = body?.has_more === true
  }
  const between = ledger.entries.filter(
    ({ sender, receiver }) => (sender === a && receiver === b) || (sender === b && receiver === a),
  )
  const told = between.map(({ id, acked }) => [acked, id]).sort(([x], [y]) => Number(x) - Number(y))
  expect(told.length).toBeGreaterThan(0)
  expect(seen).toEqual(told)
}

test('SIGKILL of the service with its own PostgreSQL loses nothing acked', async () => {
  const env = { DATA_DIR: await services.dataDirWithCluster() }
  const service = await killServiceUnderLoad(env, 1000, [0.3, 0.7])
  await expectHistory(service, 's0', 's1')
  await expectHistory(service, 's2', 'r0')
  expect((await service.stop()).code).toBe(0)
})

test('SIGKILL of the service beside an ordinary PostgreSQL loses nothing acked', async () => {
  const database = await createDatabase()
  const service = await killServiceUnderLoad({ POSTGRES_DSN: database.dsn }, 2000, [0.2, 0.5, 0.8])
  await expectConsistent(database.dsn)
  await expectHistory(service, 's0', 's0')
  expect((await service.stop()).code).toBe(0)
  await database.drop()
})

/** Kills the service each time that part of the messages is acked, and starts it again on the same data. */
async function killServiceUnderLoad(env: Environment, seed: number, parts: readonly number[]): Promise<ServiceProcess> {
  let service = await services.start(env)
  const host: Host = { service: Promise.resolve(service), storable: Promise.resolve() }
  const load = runLoad(host, seed)
  for (const part of parts) {
    await ledger.reaches(Math.floor(TOTAL * part))
    const killed = service
    const next = (async () => {
      await killed.kill9()
      return services.start(env)
    })()
    host.service = next
    service = await next
  }
  await load
  // Somebody was cut off with sends on their way, or this test has shown nothing.
  expect(ledger.entries.filter(({ attempts }) => attempts > 1).length).toBeGreaterThan(0)
  expect(ledger.acked).toBe(TOTAL)
  return service
}

test('ending the sessions in PostgreSQL again and again is not even seen by clients', async () => {
  const database = await createDatabase()
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const host: Host = { service: Promise.resolve(service), storable: Promise.resolve() }
  const load = runLoad(host, 3000)
  let ended = 0
  for (let part = 0.04; part < 1; part += 0.04) {
    await ledger.reaches(Math.floor(TOTAL * part))
    const all =
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'
    ended += (await rowsOf(database.dsn, all)).length
  }
  const [socketEvents] = (await load) as [string[]]
  expect(ended).toBeGreaterThan(10)
  expect(socketEvents).toEqual(['closed 1000'])
  await expectConsistent(database.dsn)
  await expectHistory(service, 's1', 's3')
  expect(service.logs.filter(({ level }) => level === 'error')).toEqual([])
  expect((await service.stop()).code).toBe(0)
  await database.drop()
})

let postgres: ExternalPostgres
beforeAll(async () => {
  postgres = await ExternalPostgres.start()
})
afterAll(() => postgres.remove())

test('SIGKILL of the whole PostgreSQL loses nothing acked, and the service goes on by itself', async () => {
  const service = await services.start({ POSTGRES_DSN: postgres.dsn })
  const host: Host = { service: Promise.resolve(service), storable: Promise.resolve() }
  const load = runLoad(host, 4000)
  for (const part of [0.2, 0.5, 0.8]) {
    await ledger.reaches(Math.floor(TOTAL * part))
    host.storable = (async () => {
      await postgres.kill()
      await postgres.startAgain()
    })()
    await host.storable
  }
  await load
  await expectConsistent(postgres.dsn)
  await expectHistory(service, 's0', 'r3')
  expect(service.hasExited).toBe(false)
  await eventually(async () => (await get(service, '/readyz')).status === 200, 'readiness')
  expect((await service.stop()).code).toBe(0)
})

test('SIGKILL while a COMMIT waits for a standby: sent again, the message reaches whoever was connected before it was done', async () => {
  const env = { POSTGRES_DSN: postgres.dsn }
  const killed = await services.start(env)
  const before = await SocketClient.connect(killed, 'w-ann')
  expect(await before.ask({ type: 'send', receiver_id: 'w-bob', content: 'before' })).toMatchObject({ seq: 1 })
  const send = { type: 'send', id: randomUUID(), receiver_id: 'w-bob', content: 'waits' }
  await waitForStandby("'nobody'")
  onTestFinished(() => waitForStandby("''"))
  before.send(send)
  await eventually(isCommitWaiting, 'the COMMIT')
  await killed.kill9()
  const service = await services.start(env)
  const ann = await SocketClient.connect(service, 'w-ann')
  const bob = await SocketClient.connect(service, 'w-bob')
  await Promise.all([ann, bob].map((client) => client.next('synced')))
  expect(await isCommitWaiting()).toBe(true)
  await waitForStandby("''")
  await eventually(async () => !(await isCommitWaiting()), 'the end of the COMMIT')
  expect(await ann.ask(send)).toMatchObject({ type: 'sent', seq: 2, duplicate: true })
  expect(await bob.next(({ seq }) => seq === 2)).toMatchObject({ type: 'message', id: send.id, content: 'waits' })
  expect((await service.stop()).code).toBe(0)
})

/** A COMMIT returns when this standby has it, and without one at once: also one that waits. */
async function waitForStandby(name: string): Promise<void> {
  await postgres.run(`alter system set synchronous_standby_names = ${name}`)
  await postgres.run('select pg_reload_conf()')
}

async function isCommitWaiting(): Promise<boolean> {
  return (await rowsOf(postgres.dsn, WAITING_FOR_STANDBY)).length > 0
}

test('a ledger that contradicts the database is noticed', async () => {
  const database = await createDatabase()
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const host: Host = { service: Promise.resolve(service), storable: Promise.resolve() }
  const [first, second] = ledger.plan('a', ['b'], 20, 5000)
  await sendBySocket(host, ledger, ledger.entries)
  expect(await ledger.faults(database.dsn)).toEqual([])
  await execute(database.dsn, `delete from messages where id = '${first?.id}'`)
  await execute(database.dsn, `update messages set content = 'forged' where id = '${second?.id}'`)
  expect(await ledger.faults(database.dsn)).toEqual([
    `${first?.id} was acked as 1 and is lost`,
    `${second?.id} is not what was sent`,
    expect.stringMatching(/^not dense/),
  ])
  await service.stop()
  await database.drop()
})
