import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import { Reader, type Screen, seqs } from '../support/reader.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'

const LAGGING_TIMEOUT_MS = 2500
const MAX_BACKPRESSURE_BYTES = 262_144
/** What the kernel may hold for one paused loopback connection, and more: 4 MiB to send, 32 MiB received, by default. */
const COUNT = 8000
const CONTENT = 'x'.repeat(8000)

const services = useServices()
let database: TestDatabase
let service: ServiceProcess

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({
    POSTGRES_DSN: database.dsn,
    LAGGING_TIMEOUT_MS: String(LAGGING_TIMEOUT_MS),
    MAX_BACKPRESSURE_BYTES: String(MAX_BACKPRESSURE_BYTES),
  })
})
afterAll(async () => {
  await service.kill9()
  await database.drop()
})

const memoryMib = async (): Promise<number> =>
  Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${service.pid}/status`, 'utf8'))?.[1]) / 1024

const lagged = (reader: Reader): boolean => reader.events.some(({ type }) => type === 'lagging')

/** Two people who write one message after the other, each acked and pushed before the next. */
class Neighbours {
  /** Milliseconds from each send to its push. */
  readonly ages: number[] = []
  #isOver = false
  readonly #ended: Promise<void>

  constructor(receiver: string) {
    this.#ended = this.#talk(receiver)
  }

  /** Resolves when they have exchanged one more message that was not on its way yet. */
  async goOn(): Promise<void> {
    const before = this.ages.length
    await Promise.race([
      this.#ended,
      eventually(() => this.ages.length > before + 1, 'another message of the neighbours'),
    ])
  }

  async stop(): Promise<readonly number[]> {
    this.#isOver = true
    await this.#ended
    return this.ages
  }

  async #talk(receiver: string): Promise<void> {
    const [from, to] = [await Reader.connect(service, 'nell'), await Reader.connect(service, receiver)]
    while (!this.#isOver) {
      const startedMs = performance.now()
      expect(await from.ask({ type: 'send', receiver_id: receiver, content: 'text' })).toMatchObject({ type: 'sent' })
      await to.until(() => to.messages === this.ages.length + 1, 'the push')
      this.ages.push(performance.now() - startedMs)
    }
    expect(to.arrivals.get('nell')).toEqual(seqs(1, this.ages.length))
    await Promise.all([from.kill(), to.kill()])
  }
}

test('a reader that stops reading is closed, costs bounded memory, stops nobody and loses nothing', async () => {
  const screen: Screen = new Map()
  const [ann, bob] = [await Reader.connect(service, 'ann'), await Reader.connect(service, 'bob', { screen })]
  await bob.event('synced')
  await ann.sendMany(500, () => ({ receiver_id: 'bob', content: CONTENT }))
  await bob.until(() => bob.messages === 500, 'what came while it read')
  const besideHealthy = new Neighbours('otto')
  await ann.sendMany(2000, () => ({ receiver_id: 'bob', content: CONTENT }))
  const healthy = await besideHealthy.stop()
  await bob.until(() => bob.messages === 2500, 'what came while it read')

  const before = await memoryMib()
  let most = before
  const beside = new Neighbours('paul')
  bob.pause()
  for (let sent = 2500; sent < COUNT; sent += 500) {
    await ann.sendMany(500, () => ({ receiver_id: 'bob', content: CONTENT }))
    most = Math.max(most, await memoryMib())
    await beside.goOn()
  }
  const sentMs = performance.now()
  // Its own end hears of that only when it reads on.
  await eventually(async () => !(await online()).includes('bob'), 'the end of who does not read', 30_000)
  const closedAfterMs = performance.now() - sentMs
  const slow = await beside.stop()
  bob.resume()
  expect(await bob.closed).toBe(4413)
  expect(lagged(bob)).toBe(true)
  figure(
    `closed ${closedAfterMs.toFixed(0)} ms after the last send; RSS ${before.toFixed(0)} +${(most - before).toFixed(0)} MiB at most;`,
    `neighbours beside a reader that reads: ${described(healthy)}, beside one that does not: ${described(slow)}`,
  )
  expect(most - before).toBeLessThan(64)

  const again = await Reader.connect(service, 'bob', { screen })
  await again.event('synced')
  expect(again.arrivals.get('ann')).toEqual(seqs(1, COUNT))
  expect(again.jumps).toBe(0)
  expect(screen).toEqual(new Map([['ann', COUNT]]))
  await Promise.all([ann, again].map((reader) => reader.kill()))
})

test('a reader that goes on in time is told that it lagged and gets everything on the same connection', async () => {
  const [cat, dan] = [await Reader.connect(service, 'cat'), await Reader.connect(service, 'dan')]
  await dan.event('synced')
  dan.pause()
  await cat.sendMany(2000, () => ({ receiver_id: 'dan', content: CONTENT }))
  dan.resume()
  await dan.until(() => dan.screen.get('cat') === 2000, 'everything')
  await cat.sendMany(10, () => ({ receiver_id: 'dan', content: 'live again' }))
  await dan.until(() => dan.screen.get('cat') === 2010, 'what is live again')
  expect(lagged(dan)).toBe(true)
  expect(dan.arrivals.get('cat')).toEqual(seqs(1, 2010))
  await Promise.all([cat.kill(), dan.kill()])
})

async function online(): Promise<unknown[]> {
  return (await get(service, '/api/online_users')).body?.online_users as unknown[]
}

function quantile(ages: readonly number[], part: number): number {
  return [...ages].sort((a, b) => a - b)[Math.floor(ages.length * part)] ?? 0
}

function described(ages: readonly number[]): string {
  return `${ages.length} messages, p50 ${quantile(ages, 0.5).toFixed(1)} ms, p99 ${quantile(ages, 0.99).toFixed(1)} ms`
}
