/** Our own service as a subject: always on a new database, so that every run begins from nothing. */
import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Role } from './cost.ts'
import type { Lab } from './lab.ts'
import { userIdOf } from './load-plan.ts'
import { queryNumber, queryRows, runSql } from './postgres.ts'
import { freePort } from './redis.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import type { RunningSubject, Subject } from './subjects.ts'
import { jwtEnvironment, tokenOf } from './tokens.ts'
import type { ConversationCount } from './verify.ts'

const host = '127.0.0.1'

export const serviceSubject: Subject = { name: 'service', start: (lab) => startService(lab) }
/** The same with `AUTH=jwt`: every socket comes with a token that the service has not seen. */
export const serviceWithTokens = 'service-jwt'

/** The same with push on, and a subscription of everybody: whoever acknowledges nothing is to be notified after a second. */
export const serviceWithPush = 'service-push'

/** What a name among the subjects means: ours, or with tokens or push, each also as `…@FOLDER` built it. Else undefined. */
export function serviceOptionsOf(name: string): ServiceOptions | undefined {
  const [variant, checkout] = name.split('@', 2)
  const options = variantNamed(variant)
  return options && checkout !== undefined ? { ...options, checkout } : options
}

function variantNamed(name: string | undefined): ServiceOptions | undefined {
  if (name === serviceSubject.name) return {}
  if (name === serviceWithTokens) return { wantsTokens: true }
  return name === serviceWithPush ? { environment: pushEnvironment, subscribes: true } : undefined
}

/** Our service and its PostgreSQL. */
export interface RunningService extends RunningSubject {
  readonly postgresDsn: string
  /** Messages in a batch on average since it started; NaN before the first. */
  meanBatchRows(): Promise<number>
}

export interface ServiceOptions {
  /** Environment variables beside those that every run sets. */
  readonly environment?: Readonly<Record<string, string>>
  /** Whether everybody has a push subscription. */
  readonly subscribes?: boolean
  /** Whether it runs with `AUTH=jwt`. */
  readonly wantsTokens?: boolean
  /** Folder of another checkout whose build is to run. */
  readonly checkout?: string
  /** Processes that share a port, which need Redis; one when undefined. */
  readonly workers?: number
  /** Options of Node, before the script. */
  readonly nodeArguments?: readonly string[]
}

/** The service on a database of its own, which goes when it stops. */
export async function startService(lab: Lab, options: ServiceOptions = {}): Promise<RunningService> {
  const database = await lab.postgres.createDatabase()
  try {
    const service = await startServiceOn(lab, database.dsn, options)
    if (options.subscribes) await subscribeAll(database.dsn, service.userPrefix)
    return { ...service, stop: () => service.stop().finally(() => database.drop()) }
  } catch (error) {
    await database.drop()
    throw error
  }
}

/** Nobody is there: each push fails at once. */
const pushHost = '127.0.0.1:1'
const pushEnvironment = {
  PUSH_SUBJECT: 'mailto:bench@push-subject.dev',
  PUSH_HOSTS: pushHost,
  PUSH_AFTER_SECONDS: '1',
}
const mostSubscribed = 2000
/** Longer than the service takes to hear of subscriptions that it did not take itself. */
const heardAfterMs = 2500

async function subscribeAll(dsn: string, userPrefix: string): Promise<void> {
  const keys = `'BAAA', 'AAAA', (select kid from secrets where name = 'vapid')`
  const users = Array.from({ length: mostSubscribed }, (_, person) => `('${userIdOf(userPrefix, person)}')`)
  await runSql(
    dsn,
    `insert into push_subscriptions (user_id, endpoint, endpoint_hash, host, p256dh, auth, vapid_kid, content)
     select id, 'https://${pushHost}/' || id, sha256(id::bytea), '${pushHost}', ${keys}, 1
     from (values ${users.join(',')}) people (id)`,
  )
  await setTimeout(heardAfterMs)
}

/** The service on a database that somebody else made. */
export async function startServiceOn(
  { settings, postgres }: Lab,
  postgresDsn: string,
  options: ServiceOptions = {},
): Promise<RunningService> {
  const { environment = {}, nodeArguments = [], wantsTokens = false, checkout = settings.projectRoot } = options
  const { workers = 1 } = options
  const { POSTGRES_DSN, REDIS_ADDR, ...inherited } = settings.environment
  const auth = wantsTokens ? jwtEnvironment : { AUTH: 'none' }
  const ours = { HOST: host, PORT: '0', LOG_LEVEL: 'info', POSTGRES_DSN: postgresDsn, ...auth }
  const entry = resolve(checkout, 'dist/main.js')
  const shared = workers > 1 ? { WORKERS: String(workers), PORT: String(await freePort()) } : {}
  const server = await startServer(entry, { ...inherited, ...ours, ...shared, ...environment }, nodeArguments, workers)
  return {
    ...describe(server, postgres.role, workers > 1),
    protocol: wantsTokens ? 'messaging+jwt' : 'messaging',
    postgresDsn,
    storageFaults: (conversations) => storageFaults({ port: server.port, postgresDsn }, conversations),
    meanBatchRows: () => meanBatchRows(server.port),
    recentLog: server.recentLog,
    stop: server.stop,
  }
}

function describe(server: ServerProcess, postgres: Role | undefined, withChildren: boolean) {
  const service = { name: 'service', pid: server.pid, withChildren }
  return {
    name: serviceSubject.name,
    pid: server.pid,
    host,
    port: server.port,
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

/** Of so many conversations evenly the head is asked of the service as well: one request each. */
const mostAsked = 500

/** Compares every conversation's head and the number of all rows with what was acknowledged. */
async function storageFaults(
  { port, postgresDsn }: { port: number; postgresDsn: string },
  conversations: readonly ConversationCount[],
): Promise<string[]> {
  const faults: string[] = []
  const wrong = ({ users, messages }: ConversationCount, head: number): void => {
    if (head !== messages) faults.push(`${users.join(' and ')}: ${messages} acked, stored up to ${head}`)
  }
  const step = Math.ceil(conversations.length / mostAsked)
  const asked = conversations.filter((_, index) => index % step === 0)
  for (const conversation of asked) wrong(conversation, await headOf(port, conversation.users))
  const acked = conversations.reduce((sum, { messages }) => sum + messages, 0)
  const pairs = conversations.map(({ users }) => [...users].sort())
  const values = [pairs.map(([lo]) => lo), pairs.map(([, hi]) => hi)]
  const heads = new Map(await queryRows(postgresDsn, storedHeads, values))
  for (const [index, conversation] of conversations.entries()) {
    if (conversation.messages > 0) wrong(conversation, Number(heads.get(String(index + 1)) ?? 0))
  }
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

// The same. Returns ordinal and head.
const storedHeads = `
  select ord, last_seq
  from unnest($1::text[], $2::text[]) with ordinality as pair (lo, hi, ord)
  join conversations on user_lo = lo and user_hi = hi`

async function headOf(port: number, [user, peer]: readonly [string, string]): Promise<number> {
  const url = `http://${host}:${port}/api/messages?user_id=${user}&with=${peer}&limit=1`
  // Without AUTH=jwt the header is not looked at.
  const response = await fetch(url, { headers: { Authorization: `Bearer ${tokenOf(user)}` } })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  const { messages }: { messages: { seq: number }[] } = JSON.parse(await response.text())
  return messages[0]?.seq ?? 0
}
