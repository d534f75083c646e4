/** Does reading cost the same however much is stored? */

import type { HttpRequest } from './lib/autocannon.ts'
import { cpuBetween, sampleCost } from './lib/cost.ts'
import { crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { Goal } from './lib/goals.ts'
import { runHttp } from './lib/http-load.ts'
import type { Lab } from './lib/lab.ts'
import { type BenchDatabase, runSql } from './lib/postgres.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { type RunningService, startServiceOn } from './lib/service.ts'
import { interleave, ratiosOf, seededRandom, spreadOf } from './lib/stats.ts'
import type { Table } from './lib/table.ts'
import { migrateByService } from './writer.ts'

/** People who all talk with each other: ten conversations. */
const cliqueSize = 5
const perConversation = 100
const perClique = 10 * perConversation
const unread = 20
/** As many as the smallest table has people. */
const catchupClients = 50
/** Times that as many catch up in one measurement: the kernel counts CPU in steps of 10 ms, of which once takes eight. */
const catchups = 8
const sizesOf = { full: [1e4, 1e5, 1e6, 1e7], quick: [1e4, 1e5, 1e6], smoke: [1e4] } as const

const readings = ['history page', 'catch-up', 'conversation list'] as const
type Reading = (typeof readings)[number]

/** A service on a database that holds so many messages. */
interface Size {
  readonly messages: number
  readonly database: BenchDatabase
  readonly service: RunningService
}

/** One reading: CPU of service and PostgreSQL together, and the time of one. */
interface Cost {
  readonly cpuUs: number
  readonly p50Ms: number
}

type Costs = ReadonlyMap<Size, readonly Cost[]>

export async function benchGrowth(lab: Lab): Promise<Report> {
  const sizes: Size[] = []
  try {
    for (const messages of sizesOf[lab.settings.mode]) sizes.push(await prepare(lab, messages))
    const costs = new Map<Reading, Costs>()
    for (const reading of readings) {
      // What a new process runs slowly for the first second would be a third of what is measured.
      for (const size of sizes) await measure(lab, reading, size)
      costs.set(reading, await interleave(lab.settings.pairs, sizes, (size) => measure(lab, reading, size)))
    }
    return reportOf(sizes, costs)
  } finally {
    for (const { service, database } of sizes) {
      await service.stop()
      await database.drop()
    }
  }
}

/** All sizes stand side by side, so that rounds can alternate between them. */
async function prepare(lab: Lab, messages: number): Promise<Size> {
  const database = await lab.postgres.createDatabase()
  await migrateByService(lab, database.dsn)
  await runSql(database.dsn, ...fill(messages))
  return { messages, database, service: await startServiceOn(lab, database.dsn) }
}

/**
 * Person n is named `c<n>`; the people 5k … 5k + 4 are a clique, and each has the last 20 of every conversation unread. All
 * talk at the same pace, so that in every size each message of a page lies on a page of the disk of its own: without the order
 * PostgreSQL chooses one, and another for the largest.
 */
function fill(messages: number): string[] {
  const read = perConversation - unread
  const columns = 'user_lo, user_hi, last_seq, last_message_at, updated_at'
  const positions = 'lo_delivered_seq, hi_delivered_seq, lo_read_seq, hi_read_seq'
  return [
    `insert into conversations (${columns}, ${positions})
     select least(a, b), greatest(a, b), ${perConversation}, now(), now(), ${read}, ${read}, ${read}, ${read}
     from (select ('c' || first + x) collate "C" as a, ('c' || first + y) collate "C" as b
       from generate_series(0, ${(messages / perClique - 1) * cliqueSize}, ${cliqueSize}) first,
         generate_series(0, ${cliqueSize - 1}) x, generate_series(0, ${cliqueSize - 1}) y
       where x < y) pair`,
    `insert into messages (conversation_id, seq, id, sender_id, content, created_at)
     select conversation_id, seq, gen_random_uuid(), case when seq % 2 = 0 then user_lo else user_hi end, repeat('x', 100),
       now()
     from conversations, generate_series(1, ${perConversation}) seq
     order by seq, conversation_id`,
    'vacuum analyze',
    'checkpoint',
  ]
}

function measure(lab: Lab, reading: Reading, size: Size): Promise<Cost> {
  if (reading !== 'catch-up') return readHttp(lab, reading, size)
  return lab.settings.mode === 'smoke' ? catchUp(size, 20) : catchUpAgain(size)
}

/** Of people all over the table, in another order each time. */
async function readHttp(lab: Lab, reading: Reading, { messages, service }: Size): Promise<Cost> {
  const random = seededRandom(nextSeed++)
  const requests = Array.from({ length: 500 }, (): HttpRequest => {
    const clique = Math.floor((random() * messages) / perClique)
    const [user, other] = [0, 1 + Math.floor(random() * (cliqueSize - 1))].map((n) => `c${clique * cliqueSize + n}`)
    const history = `/api/messages?user_id=${user}&with=${other}&limit=50`
    return { path: reading === 'history page' ? history : `/api/conversations?user_id=${user}&limit=50` }
  })
  const { warmupMs, measureMs } = lab.settings
  const run = await runHttp(service, { connections: 8, warmupMs: warmupMs / 3, measureMs: measureMs / 3, requests })
  return { cpuUs: run.serviceUs + run.postgresUs, p50Ms: run.p50Ms }
}

let nextSeed = 1

async function catchUpAgain(size: Size): Promise<Cost> {
  const costs: Cost[] = []
  while (costs.length < catchups) costs.push(await catchUp(size, catchupClients))
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  return { cpuUs: mean(cpuOf(costs)), p50Ms: mean(timesOf(costs)) }
}

/** People all over the table connect with 20 unread in each of their four conversations; every one has to get them all. */
async function catchUp({ messages, service }: Size, clients: number): Promise<Cost> {
  const step = Math.floor(((messages / perClique) * cliqueSize) / clients)
  const first = nextSeed++ % step
  const crowd = startCrowd()
  try {
    const plan = { count: clients, first, step, userPrefix: 'c', readyAt: 'synced', atOnce: 4 } as const
    const before = sampleCost(service.roles)
    const startMs = performance.now()
    await crowd.tell({ type: 'open', plan: crowdPlan(service, plan) })
    const elapsedMs = performance.now() - startMs
    const cpuUs = cpuBetween(before, sampleCost(service.roles))
    await crowd.tell({ type: 'check', messagesEach: unread * (cliqueSize - 1), inOrder: false })
    return { cpuUs: ((cpuUs['service'] ?? 0) + (cpuUs['postgres'] ?? 0)) / clients, p50Ms: elapsedMs / clients }
  } finally {
    crowd.stop()
  }
}

const cpuOf = (costs: readonly Cost[] | undefined): number[] => (costs ?? []).map(({ cpuUs }) => cpuUs)
const timesOf = (costs: readonly Cost[] | undefined): number[] => (costs ?? []).map(({ p50Ms }) => p50Ms)

function reportOf(sizes: readonly Size[], results: ReadonlyMap<Reading, Costs>): Report {
  const [smallest] = sizes
  const largest = sizes.at(-1)
  if (smallest === undefined || largest === undefined) throw new Error('no size was measured')
  const goals = [...results].map(([reading, costs]): Goal => {
    const measured = ratiosOf(cpuOf(costs.get(largest)), cpuOf(costs.get(smallest)))
    const title = `${reading}, CPU at ${power(largest)} ÷ at ${power(smallest)} stored`
    return { bench: 'growth', title, wanted: { atMost: 1.2 }, unit: '×', measured }
  })
  return {
    name: 'growth',
    tables: [tableOf(sizes, results)],
    charts: [
      {
        kind: 'curves',
        title: 'growth: CPU of service and PostgreSQL by stored messages',
        unit: 'relative to the smallest table',
        at: sizes.map(power),
        curves: [...results].map(([label, costs]) => ({
          label,
          values: sizes.map(
            (size) => spreadOf(cpuOf(costs.get(size))).median / spreadOf(cpuOf(costs.get(smallest))).median,
          ),
        })),
      },
    ],
    goals,
    notes: [],
    raw: Object.fromEntries(
      [...results].map(([reading, costs]) => [reading, [...costs].map(([size, list]) => ({ at: power(size), list }))]),
    ),
  }
}

const power = ({ messages }: Size): string => `10^${Math.round(Math.log10(messages))}`

function tableOf(sizes: readonly Size[], results: ReadonlyMap<Reading, Costs>): Table {
  const row = (reading: Reading, costs: Costs): string[][] => {
    const [smallest] = sizes
    return sizes.map((size) => {
      const list = costs.get(size)
      const over =
        smallest === undefined || size === smallest ? undefined : ratiosOf(cpuOf(list), cpuOf(costs.get(smallest)))
      const cells = [
        range(spreadOf(cpuOf(list)), 1),
        range(spreadOf(timesOf(list)), 2),
        over === undefined ? '–' : ratio(over),
      ]
      return [`${reading}, ${power(size)}`, ...cells]
    })
  }
  return {
    title: 'growth: one reading, by stored messages',
    columns: ['', 'service + postgres µs', 'p50 ms', 'this ÷ smallest, CPU'],
    rows: [...results].flatMap(([reading, costs]) => row(reading, costs)),
  }
}
