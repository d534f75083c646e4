import { join, resolve } from 'node:path'
import { fetchKeySet } from './auth/fetch-key-set.ts'
import { usableKeys } from './auth/key-set.ts'
import type { Check } from './cli/doctor.ts'
import { checkPush } from './cli/push-check.ts'
import { type Config, loadConfig, WRONG_CONFIGURATION } from './config.ts'
import { systemClock } from './lib/clock.ts'
import { DependencyLog } from './lib/dependency-log.ts'
import { reasonOf } from './lib/errors.ts'
import { openFileLimit } from './lib/open-files.ts'
import { connectionsFor, type Database } from './postgres/database.ts'
import { parseDsn } from './postgres/dsn.ts'
import { examine } from './redis/examination.ts'
import { addressToOpen } from './transport/address.ts'

/** Beyond this what ends by the database's clock, as tokens do, ends noticeably late or early for whoever made it; milliseconds. */
const CLOCK_DIFFERENCE_LIMIT_MS = 1_000
/** Fewer would bound the number of sockets before MAX_CONNECTIONS does. */
const WANTED_OPEN_FILES = 10_000
/** Longer than a process needs that has to ask others. */
const SERVICE_ANSWER_MS = 2_000

type WithDatabase = <T>(config: Config, work: (database: Database) => Promise<T>) => Promise<T>

/** Each opens what it looks at, so that one dependency that is away does not hide the others. */
export function doctorChecks(withDatabase: WithDatabase): Check[] {
  let config: Config | undefined
  const loaded = (): Config => {
    config ??= loadConfig()
    return config
  }
  return [
    {
      name: 'configuration',
      exitCode: WRONG_CONFIGURATION,
      run: async () => `AUTH=${loaded().auth.mode}, ${loaded().http.host}:${loaded().http.port}`,
    },
    {
      name: 'database',
      run: async () => {
        const place = placeOf(loaded())
        return withDatabase(loaded(), checkTables).then(...saying(place))
      },
    },
    { name: 'connections', run: async () => checkConnections(loaded(), withDatabase) },
    { name: 'clock', run: () => withDatabase(loaded(), checkClock) },
    { name: 'Redis', run: () => checkRedis(loaded()) },
    { name: 'key set', run: () => checkKeySet(loaded()) },
    { name: 'push services', run: () => checkPushServices(loaded()) },
    { name: 'open files', run: () => checkOpenFiles(loaded()) },
  ]
}

async function checkTables(database: Database): Promise<string> {
  const [row] = await database
    .openQueries(1)
    .query<{ version: string; place: string }>(
      `select current_setting('server_version') as version, current_schema() as place`,
    )
  return `PostgreSQL ${row?.version}, schema ${row?.place}: migrated, with the rights and the durability that the service needs`
}

/** Which database is meant: a person may be in another directory than the service, or lack its variables. */
function placeOf({ postgres: { dsn, dataDir } }: Config): string {
  if (dsn === undefined) return `${join(resolve(dataDir), 'postgres')} (no POSTGRES_DSN)`
  const { host, port, database } = parseDsn(dsn)
  return `${database} at ${host}:${port}`
}

/** For `then`: names the place, whatever was found there. */
function saying(place: string): [(found: string) => string, (error: unknown) => never] {
  return [
    (found) => `${place}: ${found}`,
    (error) => {
      throw new Error(`${place}: ${reasonOf(error)}`, { cause: error })
    },
  ]
}

/** What all instances together may open on a server of one's own making; ours is started for as many as it needs. */
async function checkConnections(config: Config, withDatabase: WithDatabase): Promise<string | undefined> {
  if (config.postgres.dsn === undefined) return undefined
  const each = config.workers * connectionsFor(config.postgres.poolMax)
  const [row] = await withDatabase(config, (database) => database.openQueries(1).query<Connections>(CONNECTIONS))
  const { most = 0, open = 0 } = row ?? {}
  const found = `${most} may be open, ${open} are; an instance of this configuration opens up to ${each}`
  if (most >= each) return `${found}, so there can be ${Math.floor(most / each)}`
  throw new Error(
    `${found}; raise max_connections, or the limit of the role or the database, or lower POSTGRES_POOL_MAX`,
  )
}

interface Connections {
  readonly most: number
  readonly open: number
}

/** What is kept for others is not ours. -1 is no limit. */
const CONNECTIONS = `
  select least(
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
      (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
      (select nullif(datconnlimit, -1) from pg_database where datname = current_database())) as most,
    (select sum(numbackends)::int from pg_stat_database) as open`

async function checkClock(database: Database): Promise<string> {
  const queries = database.openQueries(1)
  // The first query also connects.
  await queries.query('select 1')
  const beforeMs = Date.now()
  const [row] = await queries.query<{ ms: string }>('select (extract(epoch from clock_timestamp()) * 1000)::text as ms')
  const aheadMs = Math.round(Number(row?.ms) - (beforeMs + Date.now()) / 2)
  if (Math.abs(aheadMs) <= CLOCK_DIFFERENCE_LIMIT_MS) return `the database is ${aheadMs} ms ahead of this machine`
  throw new Error(`the database is ${aheadMs} ms ahead of this machine: tokens and links end by its clock; use NTP`)
}

async function checkRedis(config: Config): Promise<string | undefined> {
  const { address, prefix } = config.redis
  if (address === undefined) return undefined
  const failures: string[] = []
  const log = (fields: object) => failures.push('reason' in fields ? String(fields.reason) : JSON.stringify(fields))
  const logger = { debug: log, info: () => undefined, warn: log, error: log }
  const health = new DependencyLog({ dependency: 'Redis', logger, clock: systemClock })
  await examine({ address, prefix, health })
  return 'answers, and its user may call what the service needs'
}

async function checkKeySet({ auth }: Config): Promise<string | undefined> {
  if (auth.mode !== 'jwt' || auth.keySetUrl === undefined) return undefined
  const keys = usableKeys(await fetchKeySet(auth.keySetUrl), auth.algorithms)
  const names = keys.map(({ algorithm, keyId }) => `${algorithm} ${keyId ?? 'without an id'}`)
  // Its query may hold a secret.
  const { origin, pathname } = new URL(auth.keySetUrl)
  return `${origin}${pathname} holds ${keys.length} that can be used: ${names.join(', ')}`
}

async function checkPushServices({ push }: Config): Promise<string | undefined> {
  return push && checkPush(push.subject, push.hosts)
}

/** The shell of a person is often given fewer than a service, so the service is asked where it answers on this machine. */
async function checkOpenFiles(config: Config): Promise<string> {
  const { http, metricsToken } = config
  const url = addressToOpen({ ...http, tls: http.tls !== undefined })
  const ofService = await maxFilesOf(url, metricsToken)
  if (ofService !== undefined) {
    if (ofService >= WANTED_OPEN_FILES) return `${ofService} files may be open in the service at ${url}`
    throw new Error(
      `only ${ofService} files may be open in the service at ${url}, and each socket takes one; raise it ${HOW}`,
    )
  }
  const limit = openFileLimit()
  if (limit === undefined) return 'the limit is not known on this system'
  const here = `${limit} files may be open in what this shell starts`
  if (limit >= WANTED_OPEN_FILES) return here
  return `${here}, and each socket takes one: raise it ${HOW}, unless the service is started elsewhere, with a limit of its own`
}

const HOW = '(ulimit -n, LimitNOFILE)'

/** Undefined where no service of ours answers. */
async function maxFilesOf(url: string, token: string | undefined): Promise<number | undefined> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const asked = fetch(new URL('/metrics', url), { headers, signal: AbortSignal.timeout(SERVICE_ANSWER_MS) })
  const text = await asked.then((answer) => answer.text()).catch(() => '')
  const [, limit] = /^process_max_fds (\d+)$/m.exec(text.includes('messaging_build_info') ? text : '') ?? []
  return limit === undefined ? undefined : Number(limit)
}
