/** How long until everybody is back and up to date when all clients reconnect at once? */
import { contestantsOf } from './lib/contestants.ts'
import { cpuBetween, sampleCost } from './lib/cost.ts'
import { crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { CrowdPlan } from './lib/crowd-plan.ts'
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { type BenchDatabase, runSql } from './lib/postgres.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { type ServiceOptions, serviceOptionsOf, startServiceOn } from './lib/service.ts'
import { interleave, ratiosOf, type Spread, spreadOf } from './lib/stats.ts'
import { type RunningSubject, startPeer } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'
import { migrateByService } from './writer.ts'

const unread = 20
const crowds = 2
const bare = 'uws-bare'

/** Milliseconds until so many percent of all clients were ready, and what each client took meanwhile, microseconds of CPU. */
interface Run {
  readonly half: number
  readonly most: number
  readonly all: number
  readonly serviceUs: number
  readonly postgresUs: number
}

export async function benchStorm(lab: Lab): Promise<Report> {
  const clients = lab.settings.mode === 'smoke' ? 200 : 5000
  const { subjects = ['service', bare] } = lab.settings
  const names = subjects.filter((name) => name === bare || serviceOptionsOf(name) !== undefined)
  const databases = new Map<string, BenchDatabase>()
  try {
    const runs = await interleave(lab.settings.pairs, contestantsOf(names), async ({ name }) => {
      const options = serviceOptionsOf(name)
      const subject =
        options === undefined
          ? await startPeer(lab, bare)
          : await startServiceOn(lab, await databaseFor(lab, options, databases, clients), options)
      return reconnectAll(subject, clients).finally(subject.stop)
    })
    return reportOf(new Map([...runs].map(([{ label }, list]) => [label, list])), clients)
  } finally {
    for (const database of databases.values()) await database.drop()
  }
}

/** One for each checkout, because they may differ in their tables; filled when it is first needed. */
async function databaseFor(
  lab: Lab,
  { checkout = '' }: ServiceOptions,
  databases: Map<string, BenchDatabase>,
  clients: number,
): Promise<string> {
  const known = databases.get(checkout)
  if (known !== undefined) return known.dsn
  const database = await lab.postgres.createDatabase()
  databases.set(checkout, database)
  await migrateByService(lab, database.dsn, checkout === '' ? {} : { checkout })
  await runSql(database.dsn, ...fill(clients))
  return database.dsn
}

/** Everybody has one conversation, with 20 messages that they have not acknowledged. */
function fill(clients: number): string[] {
  return [
    `insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at, hi_delivered_seq, lo_delivered_seq)
     select 'sender', 'user' || n, ${unread}, now(), now(), 0, ${unread} from generate_series(0, ${clients - 1}) n`,
    `insert into messages (conversation_id, seq, id, sender_id, content, created_at)
     select conversation_id, seq, gen_random_uuid(), user_lo, repeat('x', 100), now()
     from conversations, generate_series(1, ${unread}) seq
     order by seq, conversation_id`,
    'vacuum analyze',
    'checkpoint',
  ]
}

/** From the first connection until the last client is `synced` and holds its messages, in order. */
async function reconnectAll(subject: RunningSubject, clients: number): Promise<Run> {
  const handles = Array.from({ length: crowds }, () => startCrowd())
  const share = Math.ceil(clients / crowds)
  const who: Partial<CrowdPlan> = subject.knowsAck ? { readyAt: 'synced', userPrefix: 'user' } : {}
  const before = sampleCost(subject.roles)
  try {
    const results = await Promise.all(
      handles.map((crowd, index) => {
        const count = Math.min(share, clients - index * share)
        return crowd.tell({ type: 'open', plan: crowdPlan(subject, { ...who, count, first: index * share }) })
      }),
    )
    const cpuUs = cpuBetween(before, sampleCost(subject.roles))
    const each = (role: string) => (cpuUs[role] ?? Number.NaN) / clients
    const messagesEach = subject.knowsAck ? unread : 0
    await Promise.all(handles.map((crowd) => crowd.tell({ type: 'check', messagesEach, inOrder: true })))
    const times = Float64Array.from(results.flatMap(({ readyMs }) => [...readyMs])).sort()
    const at = (part: number) => times[Math.ceil(times.length * part) - 1] ?? Number.NaN
    return { half: at(0.5), most: at(0.95), all: at(1), serviceUs: each('service'), postgresUs: each('postgres') }
  } finally {
    for (const crowd of handles) crowd.stop()
  }
}

function reportOf(runs: ReadonlyMap<string, readonly Run[]>, clients: number): Report {
  const times = (name: string, part: keyof Run) => (runs.get(name) ?? []).map((run) => run[part])
  const over = ratiosOf(times('service', 'all'), times(bare, 'all'))
  const [first = ''] = runs.keys()
  const overFirst = (name: string, part: keyof Run): string => {
    const compared = ratiosOf(times(first, part), times(name, part))
    return name === first || Number.isNaN(compared.median) ? '–' : ratio(compared)
  }
  const cost = (spread: Spread): string => (Number.isNaN(spread.median) ? '–' : range(spread))
  const row = (name: string): string[] => [
    name,
    ...(['half', 'most', 'all'] as const).map((part) => range(spreadOf(times(name, part)))),
    ...(['serviceUs', 'postgresUs'] as const).map((part) => cost(spreadOf(times(name, part)))),
    ...(['all', 'serviceUs', 'postgresUs'] as const).map((part) => overFirst(name, part)),
  ]
  const table: Table = {
    title: `storm: ${clients} clients reconnect at once, ${unread} unread each`,
    columns: [
      ...['server', '50 % ready, ms', '95 %, ms', 'all, ms', 'service µs/client', 'postgres µs/client'],
      ...['first ÷ this, all', 'first ÷ this, service CPU', 'first ÷ this, postgres CPU'],
    ],
    rows: [...runs.keys()].map(row),
  }
  const goal = (title: string, wanted: Goal['wanted'], measured: Goal['measured']): Goal => ({
    ...{ bench: 'storm', title, wanted },
    ...{ unit: '×', measured },
  })
  const withTokens = ratiosOf(times('service', 'all'), times('service-jwt', 'all'))
  const goals = [
    ...(runs.has(bare) ? [goal('all caught up ÷ bare upgrades', { atMost: 2.5 }, over)] : []),
    ...(runs.has('service-jwt')
      ? [goal('speed until all are caught up, AUTH=jwt ÷ none', { atLeast: 0.9 }, withTokens)]
      : []),
  ]
  return {
    name: 'storm',
    tables: [table],
    charts: [
      {
        kind: 'bars',
        title: `storm: until all of ${clients} are ready`,
        unit: 'ms',
        bars: [...runs.keys()].map((label) => ({
          label,
          spread: spreadOf(times(label, 'all')),
          isOurs: label === 'service',
        })),
      },
    ],
    goals,
    notes: [],
    raw: Object.fromEntries(runs),
  }
}
