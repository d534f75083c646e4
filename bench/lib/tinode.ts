/** Tinode as a subject, over a database of its own; the program is the operator's own. */
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { goVersion, makeProgramFolder, type ProgramFolder, runProgram, startProgram } from './go-program.ts'
import type { Lab } from './lab.ts'
import { userIdOf } from './load-plan.ts'
import { queryRows } from './postgres.ts'
import { freePort } from './redis.ts'
import type { RunningSubject, Subject } from './subjects.ts'
import { makeAccounts } from './tinode-accounts.ts'
import { keySalt } from './tinode-wire.ts'
import type { ConversationCount } from './verify.ts'

export const tinodeName = 'tinode'

const host = '127.0.0.1'
const userPrefix = 'u'
/**
 * Of the DSN, and as many as its own configuration means to give: the pool is made before `max_open_conns` is read, and has four
 * connections without this, with which Tinode is half as fast.
 */
const pool = 'pool_max_conns=50'
/** Lines without the time of day. A level cannot be set: each command is logged. */
const quietLog = ['--log_flags', 'msgprefix']

/** With accounts for so many people. Its database is made by `init-db`, which lies beside the program as in a release. */
export function tinodeSubject(program: string, people: number): Subject {
  return {
    name: tinodeName,
    async start(lab) {
      const database = await lab.postgres.createDatabase()
      const port = await freePort()
      const folder = makeProgramFolder(tinodeName, configOf(database.dsn, port))
      const clear = async (): Promise<void> => {
        await database.drop()
        folder.remove()
      }
      try {
        // It makes the database itself.
        await database.drop()
        await runProgram(join(dirname(program), 'init-db'), ['--config', folder.config], folder)
        return await start({ lab, program, people, folder, port, dsn: database.dsn, clear })
      } catch (error) {
        await clear()
        throw error
      }
    },
  }
}

interface Prepared {
  readonly lab: Lab
  readonly program: string
  readonly people: number
  readonly folder: ProgramFolder
  readonly port: number
  readonly dsn: string
  clear(): Promise<void>
}

async function start({ lab, program, people, folder, port, dsn, clear }: Prepared): Promise<RunningSubject> {
  const files = ['--config', folder.config, '--static_data', '-']
  const server = await startProgram(program, [...files, ...quietLog], folder, port)
  const userIds = Array.from({ length: people }, (_, person) => userIdOf(userPrefix, person))
  const accounts = await makeAccounts(port, userIds).catch(async (error: unknown) => {
    await server.stop()
    throw new Error(`Tinode made no accounts\n${folder.recentLog()}`, { cause: error })
  })
  const service = { name: 'service', pid: server.pid, withChildren: false }
  return {
    name: tinodeName,
    pid: server.pid,
    host,
    port,
    protocol: tinodeName,
    numbering: 'conversation',
    userPrefix,
    accounts,
    roles: lab.postgres.role === undefined ? [service] : [service, lab.postgres.role],
    knowsAck: false,
    storageFaults: (conversations) => storageFaults(dsn, conversations),
    recentLog: folder.recentLog,
    stop: () => server.stop().finally(clear),
  }
}

/** Nothing of it listens elsewhere, compresses, or notifies; files, plugins, calls and a cluster are not configured. */
function configOf(dsn: string, port: number): object {
  const key = (bytes: number): string => randomBytes(bytes).toString('base64')
  return {
    listen: `${host}:${port}`,
    grpc_listen: '',
    expvar: '-',
    server_status: '-',
    ws_compression_disabled: true,
    api_key_salt: keySalt,
    max_message_size: 131_072,
    auth_config: {
      basic: { add_to_tags: false, min_login_length: 4, min_password_length: 6 },
      token: { expire_in: 86_400, serial_num: 1, key: key(32) },
    },
    store_config: {
      uid_key: key(16),
      use_adapter: 'postgres',
      adapters: { postgres: { dsn: `${dsn}${dsn.includes('?') ? '&' : '?'}${pool}` } },
    },
    tls: { enabled: false },
    push: [],
  }
}

/** Of all conversations together: the rows, and the numbers that the topics have reached. */
async function storageFaults(dsn: string, conversations: readonly ConversationCount[]): Promise<string[]> {
  const acked = String(conversations.reduce((sum, { messages }) => sum + messages, 0))
  const [[rows, numbers] = ['', '']] = await queryRows(
    dsn,
    'select (select count(*) from messages)::text, (select coalesce(sum(seqid), 0) from topics)::text',
  )
  return rows === acked && numbers === acked ? [] : [`${acked} acked, ${rows} rows stored, numbered up to ${numbers}`]
}

export function tinodeVersion(program: string): string {
  return goVersion(program, 'github.com/tinode/chat\t')
}
