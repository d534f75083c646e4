import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { backlogOf, startOn } from '../support/app.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import { Reader, type Screen, seqs } from '../support/reader.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'

let database: TestDatabase
let app: App

beforeAll(async () => {
  database = await createDatabase()
  app = await startOn(database.dsn)
})
afterAll(async () => {
  await app.stop()
  await database.drop()
})

test('brings everything unacknowledged again, nothing acknowledged, in order, each once on screen', async () => {
  const sender = await Reader.connect(app, 'amy')
  const away = ['ben', 'cleo', 'dan']
  await sender.sendMany(10_000, (index) => ({ receiver_id: away[index % 3] ?? '', content: `text ${index}` }))
  await Promise.all(
    away.map(async (user, index) => {
      const total = index === 0 ? 3334 : 3333
      const screen: Screen = new Map()
      let acknowledged = 0
      for (const part of [700, 1000, 1633 - index]) {
        const reader = await Reader.connect(app, user, { screen })
        await reader.until(() => (screen.get('amy') ?? 0) >= acknowledged + part, 'a part')
        expect(reader.arrivals.get('amy')?.[0]).toBe(acknowledged + 1)
        acknowledged += part - 50
        reader.send({ type: 'ack', with: 'amy', seq: acknowledged })
        await reader.ask({ type: 'ping' })
        await reader.kill()
        expect(reader.jumps).toBe(0)
      }
      const last = await Reader.connect(app, user, { screen })
      await last.event('synced')
      expect(last.arrivals.get('amy')).toEqual(seqs(acknowledged + 1, total))
      expect(last.jumps).toBe(0)
      expect(screen).toEqual(new Map([['amy', total]]))
      await last.kill()
    }),
  )
  await sender.kill()
})

test('brings nothing again that was acknowledged a moment before the connection was lost', async () => {
  const sender = await Reader.connect(app, 'amy')
  const screen: Screen = new Map()
  for (let round = 1; round <= 50; round += 1) {
    await sender.sendMany(1, () => ({ receiver_id: 'quinn', content: 'text' }))
    const reader = await Reader.connect(app, 'quinn', { screen })
    await reader.event('synced')
    expect(reader.arrivals.get('amy')).toEqual([round])
    reader.send({ type: 'ack', with: 'amy', seq: round })
    await reader.ask({ type: 'ping' })
    await reader.kill()
  }
  await sender.kill()
})

test('leaves no hole and no repeat between the backlog and what is sent meanwhile', async () => {
  await execute(database.dsn, backlogOf('eve', 'finn', 3000))
  const eve = await Reader.connect(app, 'eve')
  const finn = await Reader.connect(app, 'finn')
  await eve.sendMany(3000, () => ({ receiver_id: 'finn', content: 'live' }))
  await finn.until(() => finn.messages >= 6000, 'all')
  await finn.event('synced')
  await finn.ask({ type: 'ping' })
  expect(finn.arrivals.get('eve')).toEqual(seqs(1, 6000))
  expect([finn.jumps, finn.repeats]).toEqual([0, 0])
  await Promise.all([eve.kill(), finn.kill()])
})

test('says synced only after everything unacknowledged, of every conversation', async () => {
  const writers = seqs(1, 30).map((number) => `writer${number}`)
  for (const writer of writers) await execute(database.dsn, backlogOf(writer, 'gina', 150))
  const gina = await Reader.connect(app, 'gina')
  await gina.until(() => gina.events.some(({ type }) => type === 'synced'), 'synced')
  expect(gina.messages).toBe(30 * 150)
  for (const writer of writers) expect(gina.arrivals.get(writer)).toEqual(seqs(1, 150))
  await gina.kill()
})

test('goes on storing while many catch up at once', async () => {
  const users = seqs(1, 40).map((number) => `returning${number}`)
  for (const user of users) await execute(database.dsn, backlogOf('hugo', user, 1000))
  const ian = await Reader.connect(app, 'ian')
  const readers: Reader[] = []
  const connected = Promise.all(users.map(async (user) => readers.push(await Reader.connect(app, user))))
  const areCatchingUp = (): boolean => readers.some(({ messages }) => messages < 1000)
  const ages: number[] = []
  while (readers.length < users.length || areCatchingUp()) {
    const startedMs = performance.now()
    expect(await ian.ask({ type: 'send', receiver_id: 'jane', content: 'text' })).toMatchObject({ type: 'sent' })
    // What was stored only when all had caught up does not count.
    if (areCatchingUp()) ages.push(performance.now() - startedMs)
  }
  await connected
  expect(ages.length).toBeGreaterThan(0)
  await Promise.all(readers.map((reader) => reader.event('synced')))
  expect(readers.map(({ messages }) => messages)).toEqual(users.map(() => 1000))
  figure(`${ages.length} sends while 40 catch up, the slowest ${Math.max(...ages).toFixed(0)} ms`)
  await Promise.all([ian, ...readers].map((reader) => reader.kill()))
})

describe('a backlog of 100,000 messages', () => {
  const COUNT = 100_000
  const services = useServices()
  let service: ServiceProcess
  let large: TestDatabase
  let client: pg.Client

  beforeAll(async () => {
    large = await createDatabase()
    await execute(large.dsn, backlogOf('kim', 'warm', 5000))
    // For both tests: nothing of it is acknowledged.
    await execute(large.dsn, backlogOf('kim', 'lee', COUNT, 300))
    service = await services.start({ POSTGRES_DSN: large.dsn, LOG_LEVEL: 'info' })
    client = new pg.Client(parseDsn(large.dsn))
    await client.connect()
  })
  afterAll(async () => {
    await client.end()
    await service.kill9()
    await large.drop()
  })

  const rssKib = async (): Promise<number> =>
    Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${service.pid}/status`, 'utf8'))?.[1])

  test('streams without growing the memory of the service', async () => {
    const warm = await Reader.connect(service, 'warm')
    await warm.event('synced')
    await warm.kill()
    const before = await rssKib()
    let most = before
    const lee = await Reader.connect(service, 'lee')
    for (let part = 2000; part <= COUNT; part += 2000) {
      await lee.until(() => lee.messages >= part, `${part} messages`, 60_000)
      most = Math.max(most, await rssKib())
    }
    await lee.event('synced')
    const growthMib = (most - before) / 1024
    figure(`RSS before ${Math.round(before / 1024)} MiB, grew by ${growthMib.toFixed(1)} MiB at most`)
    expect(lee.arrivals.get('kim')).toEqual(seqs(1, COUNT))
    expect(growthMib).toBeLessThan(64)
    await lee.kill()
  })

  test('waits for a reader that pauses, and goes on without loss', async () => {
    const before = await rssKib()
    const lee = await Reader.connect(service, 'lee')
    await lee.until(() => lee.messages >= 5000, 'the first messages')
    lee.pause()
    await streamStopped(client)
    const pausedGrowthMib = ((await rssKib()) - before) / 1024
    // What had been read before the pause cannot show this.
    await client.query(
      `update messages set content = 'changed while paused' where seq = ${COUNT} and sender_id = 'kim'`,
    )
    lee.resume()
    await lee.event('synced')
    expect(lee.lastContent).toBe('changed while paused')
    expect(lee.arrivals.get('kim')).toEqual(seqs(1, COUNT))
    expect(pausedGrowthMib).toBeLessThan(64)
    figure(`RSS grew by ${pausedGrowthMib.toFixed(1)} MiB while paused`)
    await lee.kill()
  })

  /** Resolves when no page has been read for a while. */
  async function streamStopped(observer: pg.Client): Promise<void> {
    const idle = `select coalesce(extract(epoch from clock_timestamp() - max(state_change)), 0)::float8 as s
      from pg_stat_activity where query like '%m.seq > $3%' and pid <> pg_backend_pid()`
    await eventually(async () => {
      const { rows } = await observer.query<{ s: number }>(idle)
      return (rows[0]?.s ?? 0) > 0.5
    }, 'a stream that has stopped')
  }
})
