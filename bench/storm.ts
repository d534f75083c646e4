/** How long until everybody is back and up to date when all clients reconnect at once? */
import { crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { CrowdPlan } from './lib/crowd-plan.ts'
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { runSql } from './lib/postgres.ts'
import { type Report, range, ratio, type Table } from './lib/report.ts'
import { startServiceOn } from './lib/service.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { type RunningSubject, startPeer } from './lib/subjects.ts'
import { migrateByService } from './writer.ts'

const unread = 20
const crowds = 2
const names = ['service', 'uws-bare'] as const
type Name = (typeof names)[number]

/** Milliseconds until so many percent of all clients were ready. */
interface Run {
  readonly half: number
  readonly most: number
  readonly all: number
}

export async function benchStorm(lab: Lab): Promise<Report> {
  const clients = lab.settings.mode === 'smoke' ? 200 : 5000
  const database = await lab.postgres.createDatabase()
  try {
    await migrateByService(lab, database.dsn)
    await runSql(database.dsn, ...fill(clients))
    const runs = await interleave(lab.settings.pairs, names, async (name) => {
      const subject = name === 'service' ? await startServiceOn(lab, database.dsn) : await startPeer(lab, name)
      return reconnectAll(subject, clients).finally(subject.stop)
    })
    return reportOf(runs, clients)
  } finally {
    await database.drop()
  }
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
  try {
    const results = await Promise.all(
      handles.map((crowd, index) => {
        const count = Math.min(share, clients - index * share)
        return crowd.tell({ type: 'open', plan: crowdPlan(subject, { ...who, count, first: index * share }) })
      }),
    )
    const messagesEach = subject.knowsAck ? unread : 0
    await Promise.all(handles.map((crowd) => crowd.tell({ type: 'check', messagesEach, inOrder: true })))
    const times = Float64Array.from(results.flatMap(({ readyMs }) => [...readyMs])).sort()
    const at = (part: number) => times[Math.ceil(times.length * part) - 1] ?? Number.NaN
    return { half: at(0.5), most: at(0.95), all: at(1) }
  } finally {
    for (const crowd of handles) crowd.stop()
  }
}

function reportOf(runs: ReadonlyMap<Name, readonly Run[]>, clients: number): Report {
  const times = (name: Name, part: keyof Run) => (runs.get(name) ?? []).map((run) => run[part])
  const over = ratiosOf(times('service', 'all'), times('uws-bare', 'all'))
  const row = (name: Name): string[] => [
    name,
    ...(['half', 'most', 'all'] as const).map((part) => range(spreadOf(times(name, part)))),
    name === 'service' ? '–' : ratio(over),
  ]
  const table: Table = {
    title: `storm: ${clients} clients reconnect at once, ${unread} unread each`,
    columns: ['server', '50 % ready, ms', '95 %, ms', 'all, ms', 'first ÷ this, all'],
    rows: names.map(row),
  }
  const goal: Goal = {
    bench: 'storm',
    title: 'all caught up ÷ bare upgrades',
    wanted: { atMost: 2.5 },
    unit: '×',
    measured: over,
  }
  return {
    name: 'storm',
    tables: [table],
    charts: [
      {
        kind: 'bars',
        title: `storm: until all of ${clients} are ready`,
        unit: 'ms',
        bars: names.map((label) => ({ label, spread: spreadOf(times(label, 'all')), isOurs: label === 'service' })),
      },
    ],
    goals: [goal],
    notes: [],
    raw: Object.fromEntries(runs),
  }
}
