/** What does a REST call cost, beside Fastify and pg doing the same, and beside raw uWS where nothing is to be done? */
import { isDeepStrictEqual } from 'node:util'
import type { HttpRequest } from './lib/autocannon.ts'
import { type CrowdHandle, crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { Goal } from './lib/goals.ts'
import { type HttpPlan, type HttpRun, runHttp } from './lib/http-load.ts'
import type { Lab } from './lib/lab.ts'
import { VoidRun } from './lib/load.ts'
import { queryNumber, runSql } from './lib/postgres.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { startServiceOn } from './lib/service.ts'
import { interleave, ratiosOf, type Spread, seededRandom, spreadOf } from './lib/stats.ts'
import { type RunningSubject, startPeer } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'
import { migrateByService } from './writer.ts'

const connections = 64
const perConversation = 1000
const people = 100
const online = 1000

type Server = 'service' | 'fastify-rest' | 'uws-bytes'
interface Call {
  readonly name: string
  readonly servers: readonly Server[]
  /** None: messages are sent, by other people in each run. */
  readonly requests?: readonly HttpRequest[]
  readonly goal?: Pick<Goal, 'title' | 'wanted'> & { measured(runs: Runs): Spread }
}
type Runs = ReadonlyMap<Server, readonly HttpRun[]>
type Running = ReadonlyMap<Server, RunningSubject>

export async function benchRest(lab: Lab): Promise<Report> {
  const conversations = lab.settings.mode === 'smoke' ? 20 : 1000
  const database = await lab.postgres.createDatabase()
  const running = new Map<Server, RunningSubject>()
  const crowd = startCrowd()
  try {
    await migrateByService(lab, database.dsn)
    await runSql(database.dsn, ...fill(conversations))
    await startAll(lab, database.dsn, crowd, running)
    const results = new Map<Call, Runs>()
    for (const call of callsOf(conversations)) results.set(call, await compare(lab, call, running, database.dsn))
    return reportOf(results)
  } finally {
    crowd.stop()
    for (const server of running.values()) await server.stop()
    await database.drop()
  }
}

/** Person n talks with n + 1 … n + 10 of a ring of people: 20 conversations each, 1,000 messages in turn, the last 10 unread. */
function fill(conversations: number): string[] {
  const read = perConversation - 10
  const columns = 'user_lo, user_hi, last_seq, last_message_at, updated_at'
  const positions = 'lo_delivered_seq, hi_delivered_seq, lo_read_seq, hi_read_seq'
  return [
    `insert into conversations (${columns}, ${positions})
     select least(a, b), greatest(a, b), ${perConversation}, now() - n * interval '1 second', now(), ${read}, ${read}, ${read}, ${read}
     from (select n, ('p' || n % ${people}) collate "C" as a, ('p' || (n + 1 + n / ${people}) % ${people}) collate "C" as b
       from generate_series(0, ${conversations - 1}) n) pair`,
    `insert into messages (conversation_id, seq, id, sender_id, content, created_at)
     select conversation_id, seq, gen_random_uuid(), case when seq % 2 = 0 then user_lo else user_hi end, repeat('x', 100),
       last_message_at
     from conversations, generate_series(1, ${perConversation}) seq
     order by seq, conversation_id`,
    'vacuum analyze',
    'checkpoint',
  ]
}

/** Who is online comes from a thousand sockets at the service; the peers say the same, byte for byte. */
async function startAll(
  lab: Lab,
  dsn: string,
  crowd: CrowdHandle,
  running: Map<Server, RunningSubject>,
): Promise<void> {
  const service = await startServiceOn(lab, dsn)
  running.set('service', service)
  await crowd.tell({
    type: 'open',
    plan: crowdPlan(service, { count: online, readyAt: 'synced', userPrefix: 'online' }),
  })
  const body = await textOf(service, onlinePath)
  const fastify = await startPeer(lab, 'fastify-rest', { PEER_POSTGRES_DSN: dsn, PEER_BODY: body })
  const postgres = lab.postgres.role === undefined ? [] : [lab.postgres.role]
  running.set('fastify-rest', { ...fastify, roles: [...fastify.roles, ...postgres] })
  running.set('uws-bytes', await startPeer(lab, 'uws-bytes', { PEER_BODY: body }))
}

async function textOf({ host, port }: RunningSubject, path: string): Promise<string> {
  const response = await fetch(`http://${host}:${port}${path}`)
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.text()
}

const onlinePath = `/api/online_users?limit=${online}`
const both: readonly Server[] = ['service', 'fastify-rest']

function callsOf(conversations: number): Call[] {
  const random = seededRandom(1)
  const any = (count: number) => Math.floor(random() * count)
  const get = (path: string): HttpRequest => ({ path })
  const history = (conversation: number, before: string): HttpRequest => {
    const offset = 1 + Math.floor(conversation / people)
    const [one, other] = [conversation % people, (conversation + offset) % people]
    return get(`/api/messages?user_id=p${one}&with=p${other}&limit=50${before}`)
  }
  const anywhere = () => history(any(conversations), `&before=${51 + any(perConversation - 51)}`)
  const overFastify = (atLeast: number) => ({
    title: 'req/s ÷ Fastify',
    wanted: { atLeast },
    measured: (runs: Runs) => ratiosOf(rates(runs.get('service')), rates(runs.get('fastify-rest'))),
  })
  // By CPU: the generator cannot drive raw uWS to its limit, so its rates would flatter us.
  const overRaw = {
    title: 'raw uWS CPU ÷ ours',
    wanted: { atLeast: 0.85 },
    measured: (runs: Runs) => ratiosOf(costs(runs.get('uws-bytes')), costs(runs.get('service'))),
  }
  const everybody = Array.from({ length: people }, (_, index) => get(`/api/conversations?user_id=p${index}&limit=50`))
  return [
    { name: 'POST send_message', servers: both, goal: overFastify(5) },
    { name: 'GET messages, hot', servers: both, requests: [history(0, '')], goal: overFastify(1.8) },
    {
      name: 'GET messages, cold',
      servers: both,
      requests: Array.from({ length: 500 }, anywhere),
      goal: overFastify(1.8),
    },
    { name: 'GET conversations', servers: both, requests: everybody },
    { name: 'GET online_users', servers: [...both, 'uws-bytes'], requests: [get(onlinePath)], goal: overRaw },
  ]
}

let nextRun = 0

/** Other people for each run: what the run before left on its way is stored in their names, at any time. */
async function runSends(
  name: Server,
  server: RunningSubject,
  times: Omit<HttpPlan, 'requests'>,
  dsn: string,
): Promise<HttpRun> {
  const prefix = `run${nextRun++}-`
  const run = await runHttp(server, { ...times, requests: sendRequests(prefix) })
  const table = name === 'service' ? 'messages' : 'bench_rows'
  requireStored(
    name,
    run,
    await queryNumber(dsn, `select count(*) from ${table} where starts_with(sender_id, '${prefix}')`),
  )
  return run
}

function sendRequests(prefix: string): HttpRequest[] {
  const headers = { 'content-type': 'application/json' }
  return Array.from({ length: people }, (_, index) => {
    const body = { sender_id: `${prefix}s${index}`, receiver_id: `${prefix}t${index}`, content: 'x'.repeat(100) }
    return { method: 'POST', path: '/api/send_message', headers, body: JSON.stringify(body) }
  })
}

async function compare(lab: Lab, call: Call, running: Running, dsn: string): Promise<Runs> {
  const serverNamed = (name: Server): RunningSubject => {
    const server = running.get(name)
    if (server === undefined) throw new Error(`${name} does not run`)
    return server
  }
  const { requests } = call
  if (requests) await requireEqual(call.name, requests, call.servers.map(serverNamed))
  const { pairs, warmupMs, measureMs } = lab.settings
  const times = { connections, warmupMs: warmupMs / 2, measureMs: measureMs / 2 }
  return interleave(pairs, call.servers, async (name) => {
    const server = serverNamed(name)
    return requests ? runHttp(server, { ...times, requests }) : runSends(name, server, times, dsn)
  })
}

/** A server that says something else is not doing the same. */
async function requireEqual(
  name: string,
  requests: readonly HttpRequest[],
  servers: readonly RunningSubject[],
): Promise<void> {
  const path = requests[0]?.path ?? ''
  const [ours, ...others] = await Promise.all(servers.map((server) => textOf(server, path)))
  if (others.some((text) => !isDeepStrictEqual(JSON.parse(text), JSON.parse(ours ?? '')))) {
    throw new VoidRun(`rest: void, the servers answer ${name} differently\n${[ours, ...others].join('\n')}`)
  }
}

/** Every answered send is stored, and nothing that was not sent. */
function requireStored(name: Server, { sent, succeeded }: HttpRun, stored: number): void {
  if (stored >= succeeded && stored <= sent) return
  throw new VoidRun(`rest: void, of ${sent} sends ${name} answered ${succeeded} and stored ${stored}`)
}

const rates = (runs: readonly HttpRun[] | undefined): number[] => (runs ?? []).map((run) => run.requestsPerSecond)
const costs = (runs: readonly HttpRun[] | undefined): number[] => (runs ?? []).map((run) => run.serviceUs)

function goalOf({ name, goal }: Call, runs: Runs): Goal | undefined {
  if (!goal) return undefined
  const { title, wanted, measured } = goal
  return { bench: 'rest', unit: '×', title: `${name}, ${title}`, wanted, measured: measured(runs) }
}

function reportOf(results: ReadonlyMap<Call, Runs>): Report {
  return {
    name: 'rest',
    tables: [...results].map(([call, runs]) => tableOf(call, runs)),
    charts: [...results].map(([call, runs]) => ({
      kind: 'bars',
      title: `rest: ${call.name}`,
      unit: 'requests per second',
      bars: call.servers.map((label) => ({
        label,
        spread: spreadOf(rates(runs.get(label))),
        isOurs: label === 'service',
      })),
    })),
    goals: [...results].map(([call, runs]) => goalOf(call, runs)).filter((goal) => goal !== undefined),
    notes: [],
    raw: Object.fromEntries([...results].map(([call, runs]) => [call.name, Object.fromEntries(runs)])),
  }
}

function tableOf(call: Call, runs: Runs): Table {
  const ours = runs.get('service')
  const row = (name: Server): string[] => {
    const found = runs.get(name) ?? []
    const cost = (read: (run: HttpRun) => number) => range(spreadOf(found.map(read)), 1)
    return [
      name,
      range(spreadOf(rates(found))),
      cost((run) => run.serviceUs),
      cost((run) => run.postgresUs),
      cost((run) => run.generatorUs),
      cost((run) => run.p99Ms),
      name === 'service' ? '–' : ratio(ratiosOf(rates(ours), rates(found))),
      name === 'service' ? '–' : ratio(ratiosOf(costs(found), costs(ours))),
    ]
  }
  return {
    title: `rest: ${call.name}, ${connections} connections`,
    columns: [
      'server',
      'req/s',
      'service µs',
      'postgres µs',
      'generator µs',
      'p99 ms',
      'first ÷ this, req/s',
      'this ÷ first, service CPU',
    ],
    rows: call.servers.map(row),
  }
}
