// What an operator hears of a service whose neighbours fail: readiness that is true, one line of the log, and never a secret.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { OpenApi } from '../support/openapi.ts'
import { RedisServer } from '../support/redis.ts'
import { get, post } from '../support/rest-client.ts'
import { type LogLine, type ServiceProcess, useServices } from '../support/service.ts'

const CANARY = 'c4nary-pa$$w0rd'
const services = useServices()
let database: TestDatabase
let redis: RedisServer

beforeAll(async () => {
  database = await createDatabase()
  redis = await RedisServer.start()
})
afterAll(async () => {
  await redis.stop()
  await database.drop()
})

/** What PostgreSQL says when its disk is full, of every row that is written. */
const FULL = `
  create function full_disk() returns trigger language plpgsql as
    $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
  create trigger full_disk before insert on messages for each row execute function full_disk();
  create trigger full_disk before update on service_state for each row execute function full_disk()`
const ROOM = 'drop function full_disk cascade'

const send = (service: ServiceProcess) => post(service, { receiver_id: 'b', content: 'x' })
const warnings = ({ logs }: ServiceProcess): LogLine[] => logs.filter(({ level }) => level === 'warn')

test('is not ready while every send fails, and is again when there is room, also when nobody sends', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const openApi = await OpenApi.of(service)
  expect((await send(service)).status).toBe(201)
  await execute(database.dsn, FULL)
  expect((await send(service)).status).toBe(503)
  const unready = await get(service, '/readyz')
  expect([unready.status, unready.body]).toEqual([
    503,
    { status: 'unready', reasons: ['database: could not extend file: No space left on device'] },
  ])
  openApi.check('GET', '/readyz', unready)
  await execute(database.dsn, ROOM)
  await eventually(async () => (await get(service, '/readyz')).status === 200, 'readiness')
  expect((await send(service)).status).toBe(201)
  expect(warnings(service).map(({ msg, reason }) => [msg, reason])).toEqual([
    ['PostgreSQL fails', 'could not extend file: No space left on device'],
  ])
  await service.logged(({ msg }) => msg === 'PostgreSQL works again')
  await service.stop()
})

test('is ready without Redis, and says what is missing', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, REDIS_ADDR: redis.url })
  const openApi = await OpenApi.of(service)
  expect((await get(service, '/readyz')).body).toEqual({ status: 'ready' })
  await redis.kill()
  const degraded = async () => (await get(service, '/readyz')).body?.degraded
  await eventually(async () => JSON.stringify(await degraded())?.includes('ECONNREFUSED') === true, 'the reason')
  const answer = await get(service, '/readyz')
  expect(answer.status).toBe(200)
  openApi.check('GET', '/readyz', answer)
  expect((await send(service)).status).toBe(201)
  await redis.startAgain()
  await eventually(async () => (await degraded()) === undefined, 'Redis')
  await service.stop()
})

test('why a login is refused is told once for each dependency, and the password stands in no line at any level', async () => {
  const postgres = await ExternalPostgres.start()
  const guarded = await RedisServer.start(['--requirepass', 'right'])
  try {
    await postgres.run(`create role canary login superuser password '${CANARY}'`)
    const secret = encodeURIComponent(CANARY)
    const env = {
      LOG_LEVEL: 'trace',
      POSTGRES_DSN: postgres.dsn.replace('user:pass@', `canary:${secret}@`),
      REDIS_ADDR: `redis://:${secret}@127.0.0.1:${guarded.port}`,
    }
    const service = await services.start(env)
    expect((await send(service)).status).toBe(201)
    await service.logged(({ reason }) => String(reason).startsWith('WRONGPASS'))
    // Idle and busy connections are lost, and every new one is refused.
    await postgres.run('alter role canary nologin')
    await postgres.run(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'canary'`)
    await eventually(
      async () => (await send(service)).status === 503 && (await get(service, '/readyz')).status === 503,
      'no commit',
    )
    const refused = /not permitted to log in/
    await service.logged(({ level, reason }) => level === 'warn' && refused.test(String(reason)))
    await postgres.run('alter role canary login')
    await eventually(async () => (await send(service)).status === 201, 'a commit')
    await eventually(async () => (await get(service, '/readyz')).status === 200, 'readiness')
    await service.logged(({ msg }) => msg === 'PostgreSQL works again')
    await guarded.kill()
    await service.logged(({ level, reason }) => level === 'warn' && String(reason).includes('ECONNREFUSED'))
    await service.stop()

    const told = warnings(service).map(({ dependency, reason }) => `${dependency}: ${reason}`)
    expect(told.filter((text) => text.startsWith('PostgreSQL') && refused.test(text))).toHaveLength(1)
    expect(told.filter((text) => text.startsWith('Redis: WRONGPASS'))).toHaveLength(1)

    await postgres.run('alter role canary nologin')
    const failing = services.launch(env)
    expect((await failing.exited).code).toBe(1)
    expect(failing.logs.at(-1)).toMatchObject({ level: 'fatal' })
    for (const { logs, stderr } of [service, failing]) {
      expect(logs.length).toBeGreaterThan(0)
      expect(JSON.stringify(logs) + stderr).not.toContain('c4nary')
    }
  } finally {
    await guarded.stop()
    await postgres.remove()
  }
})
