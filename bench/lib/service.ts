/** Our own service as a subject: with a PostgreSQL of its own in a temporary folder, or with the one that was named. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { parentOf, type Role } from './cost.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import type { Settings } from './settings.ts'
import type { RunningSubject, Subject } from './subjects.ts'
import type { ConversationCount } from './verify.ts'

const host = '127.0.0.1'

export const serviceSubject: Subject = { name: 'service', start: startService }

/** Our service and its PostgreSQL. */
export interface RunningService extends RunningSubject {
  readonly postgresDsn: string
}

export async function startService(settings: Settings): Promise<RunningService> {
  const folder = mkdtempSync(join(tmpdir(), 'messaging-bench-'))
  chmodSync(folder, 0o755) // PostgreSQL does not run as root: another user must be able to pass
  const removeFolder = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  const entry = join(settings.projectRoot, 'dist/main.js')
  const server = await startServer(entry, serviceEnvironment(settings, folder)).catch((error: unknown) => {
    removeFolder()
    throw error
  })
  const userPrefix = `b${Date.now().toString(36)}-`
  const postgresDsn = settings.postgresDsn ?? dsnOfClusterIn(folder)
  return {
    name: serviceSubject.name,
    host,
    port: server.port,
    userPrefix,
    roles: await roles(server, postgresDsn),
    storesMessages: true,
    postgresDsn,
    storageFaults: (conversations) => storageFaults({ port: server.port, postgresDsn }, conversations),
    recentLog: server.recentLog,
    async stop() {
      await server.stop()
      removeFolder()
    },
  }
}

function serviceEnvironment(settings: Settings, folder: string): Record<string, string | undefined> {
  const { POSTGRES_DSN, REDIS_ADDR, ...environment } = settings.environment
  const ours = { HOST: host, PORT: '0', DATA_DIR: folder, LOG_LEVEL: 'info' }
  const dsn = settings.postgresDsn
  return { ...environment, ...ours, ...(dsn === undefined ? {} : { POSTGRES_DSN: dsn }) }
}

/** Without a postgres role when that PostgreSQL runs on another machine: its cost is then not known. */
async function roles(server: ServerProcess, postgresDsn: string): Promise<Role[]> {
  // Asked while the backend lives: its parent is the postmaster.
  const postmaster = await withClient(postgresDsn, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    return parentOf(rows[0]?.pid ?? 0)
  })
  const service = { name: 'service', pid: server.pid, withChildren: false }
  return postmaster === undefined ? [service] : [service, { name: 'postgres', pid: postmaster, withChildren: true }]
}

/** Fourth and fifth line of postmaster.pid: port and socket folder (miscadmin.h of PostgreSQL). */
function dsnOfClusterIn(folder: string): string {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const lockFile = files.find((name) => name.endsWith('postmaster.pid'))
  if (lockFile === undefined) throw new Error('the service has no PostgreSQL in its data folder')
  const [, , , port, socketFolder = ''] = readFileSync(join(folder, lockFile), 'utf8').split('\n')
  return `postgres:///postgres?user=postgres&host=${encodeURIComponent(socketFolder)}&port=${port}`
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
  const { rows } = await withClient(postgresDsn, (client) => client.query<{ stored: string }>(countStored, values))
  if (Number(rows[0]?.stored) !== acked) faults.push(`${acked} acked, ${rows[0]?.stored} rows stored`)
  return faults
}

// $1, $2 text[]: the two people of each conversation in byte order
const countStored = `
  select count(*) as stored
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

async function withClient<Result>(dsn: string, use: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: dsn })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
