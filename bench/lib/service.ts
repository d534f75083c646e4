/** Our own service as a subject: always on a new database, so that every run begins from nothing. */
import { join } from 'node:path'
import type { Role } from './cost.ts'
import type { Lab } from './lab.ts'
import { queryNumber } from './postgres.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import type { RunningSubject, Subject } from './subjects.ts'
import type { ConversationCount } from './verify.ts'

const host = '127.0.0.1'

export const serviceSubject: Subject = { name: 'service', start: (lab) => startService(lab) }

/** Our service and its PostgreSQL. */
export interface RunningService extends RunningSubject {
  readonly postgresDsn: string
  /** Messages in a batch on average since it started; NaN before the first. */
  meanBatchRows(): Promise<number>
}

export interface ServiceOptions {
  /** Environment variables beside those that every run sets. */
  readonly environment?: Readonly<Record<string, string>>
  /** Options of Node, before the script. */
  readonly nodeArguments?: readonly string[]
}

/** The service on a database of its own, which goes when it stops. */
export async function startService(lab: Lab, options: ServiceOptions = {}): Promise<RunningService> {
  const database = await lab.postgres.createDatabase()
  try {
    const service = await startServiceOn(lab, database.dsn, options)
    return { ...service, stop: () => service.stop().finally(() => database.drop()) }
  } catch (error) {
    await database.drop()
    throw error
  }
}

/** The service on a database that somebody else made. */
export async function startServiceOn(
  { settings, postgres }: Lab,
  postgresDsn: string,
  { environment = {}, nodeArguments = [] }: ServiceOptions = {},
): Promise<RunningService> {
  const { POSTGRES_DSN, REDIS_ADDR, ...inherited } = settings.environment
  const ours = { HOST: host, PORT: '0', LOG_LEVEL: 'info', POSTGRES_DSN: postgresDsn }
  const entry = join(settings.projectRoot, 'dist/main.js')
  const server = await startServer(entry, { ...inherited, ...ours, ...environment }, nodeArguments)
  return {
    ...describe(server, postgres.role),
    postgresDsn,
    storageFaults: (conversations) => storageFaults({ port: server.port, postgresDsn }, conversations),
    meanBatchRows: () => meanBatchRows(server.port),
    recentLog: server.recentLog,
    stop: server.stop,
  }
}

function describe(server: ServerProcess, postgres: Role | undefined) {
  const service = { name: 'service', pid: server.pid, withChildren: false }
  return {
    name: serviceSubject.name,
    pid: server.pid,
    host,
    port: server.port,
    protocol: 'messaging',
    numbering: 'conversation',
    userPrefix: `b${Date.now().toString(36)}-`,
    roles: postgres === undefined ? [service] : [service, postgres],
    knowsAck: true,
  } as const
}

async function meanBatchRows(port: number): Promise<number> {
  const text = await (await fetch(`http://${host}:${port}/metrics`)).text()
  const value = (name: string) => Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1])
  return value('messaging_batch_rows_sum') / value('messaging_batch_rows_count')
}

/** Compares every conversation's head and the number of all rows with what was acknowledged. */
async function storageFaults(
  { port, postgresDsn }: { port: number; postgresDsn: string },
  conversations: readonly ConversationCount[],
): Promise<string[]> {
  const faults: string[] = []
  for (const { users, messages } of conversations) {
    const head = await headOf(port, users)
    if (head !== messages) faults.push(`${users.join(' and ')}: ${messages} acked, stored up to ${head}`)
  }
  const acked = conversations.reduce((sum, { messages }) => sum + messages, 0)
  const pairs = conversations.map(({ users }) => [...users].sort())
  const values = [pairs.map(([lo]) => lo), pairs.map(([, hi]) => hi)]
  const stored = await queryNumber(postgresDsn, countStored, values)
  if (stored !== acked) faults.push(`${acked} acked, ${stored} rows stored`)
  return faults
}

// $1, $2 text[]: the two people of each conversation in byte order
const countStored = `
  select count(*)
  from unnest($1::text[], $2::text[]) as pair (lo, hi)
  join conversations on user_lo = lo and user_hi = hi
  join messages using (conversation_id)`

async function headOf(port: number, [user, peer]: readonly [string, string]): Promise<number> {
  const url = `http://${host}:${port}/api/messages?user_id=${user}&with=${peer}&limit=1`
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  const { messages }: { messages: { seq: number }[] } = JSON.parse(await response.text())
  return messages[0]?.seq ?? 0
}
