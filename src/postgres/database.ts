import pg from 'pg'
import {
  type EmbeddedPostgres,
  reachEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../embedded-postgres/embedded-postgres.ts'
import { systemClock } from '../lib/clock.ts'
import { DependencyLog } from '../lib/dependency-log.ts'
import type { Logger } from '../lib/logger.ts'
import { assertDurable, assertPrimary } from './assertions.ts'
import { resolveDsn } from './dsn.ts'
import { mendIdentity } from './identity.ts'
import { assertMigrated, hasRecord, migrate } from './migrate.ts'
import { connectionOptions, createPool, endClient, endPool, type Pool } from './pool.ts'
import { assertSessionsKept } from './pooler.ts'
import { Queries } from './queries.ts'
import { Reader } from './reader.ts'
import { assertRights, currentRole, grantRights } from './rights.ts'
import { schemaSettings } from './schema.ts'
import { applySettings, limitSettings, PLANNER_SETTINGS, type Settings, writerSettings } from './session-settings.ts'
import { WriterConnection } from './writer-connection.ts'

export interface DatabaseOptions {
  /** None: our own server under `dataDir`. */
  readonly dsn: string | undefined
  /** By which role the tables are made; the one of `dsn` if none. */
  readonly migrationDsn?: string | undefined
  /** Where all tables are; what the search_path of the role says if none. */
  readonly schema?: string | undefined
  readonly dataDir: string
  readonly poolMax: number
  readonly logger: Logger
  /** For a command: our own server may be the one of a service that runs, which is then left running. */
  readonly isBesideService?: boolean
  /**
   * What becomes of a database that this version would have to migrate; the first if none. `begin`: tables are made where no service
   * has been yet, and an older version's are left and refused, as a service of that version may run there. `leave`: both are refused.
   */
  readonly tables?: 'migrate' | 'begin' | 'leave'
}

export interface QueriesOptions {
  /**
   * For statements that are asked many times a second and find every row by an index: they are planned once per connection,
   * whatever is known of the tables, and not each time.
   */
  readonly keepsPlans?: boolean
  /** For one statement that a person waits for, and may interrupt: it may take as long as it does. */
  readonly takesItsTime?: boolean
}

export interface Database {
  /** For reading. */
  readonly reader: Reader
  /** For the one writer. */
  readonly writerConnection: WriterConnection
  /** Tells people what is wrong with the server. */
  readonly health: DependencyLog
  /** For what is beside the message path, on as many connections of its own as it says; closed with the database. */
  openQueries(maxConnections: number, options?: QueriesOptions): Queries
  /** Reader and queries use no connection any more that was made so far. */
  renewSessions(): void
  /** Commits a change that means nothing, on a connection beside the message path; rejects when that fails. */
  tryCommit(): Promise<void>
  /** Ends the pools, then our own server if there is one. The writer connection is its user's to close. */
  close(): Promise<void>
}

/** The writer gives a send its definite answer within two seconds, so no step before the COMMIT may take that long. */
const STEP_DEADLINE_MS = 1_500
/** Longer than any server-side limit: giving up on a COMMIT leaves its outcome unknown. */
const COMMIT_DEADLINE_MS = 6_000
/** A reader whose database is away hears of it within this time. */
const READ_WAIT_LIMIT_MS = 2_000
/** Longer than the server's own limit: a server that hangs enforces none. */
const READ_ANSWER_LIMIT_MS = 6_000
/** How long a statement beside the message path may wait for the server; longer than the server's own limit. */
const QUERY_ANSWER_LIMIT_MS = 6_000
/** The writer's, and those of `openQueries`: what all features together need. */
const OTHER_CONNECTIONS = 20

/** How many connections one process opens at most, with so many for reading. */
export function connectionsFor(poolMax: number): number {
  return poolMax + OTHER_CONNECTIONS
}

/** Writes a row, and so the log and its file. */
const TRY_COMMIT = 'update service_state set renewed_at = renewed_at'

/** A migrated database that keeps what it acknowledges, ours or one given; refuses to start on any other. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { dsn, migrationDsn, schema, poolMax, logger } = options
  const health = new DependencyLog({ dependency: 'PostgreSQL', logger, clock: systemClock })
  const own = dsn === undefined ? await openOwn(options) : undefined
  try {
    const config = await resolveDsn(dsn ?? own?.dsn ?? '')
    const migrationConfig = migrationDsn === undefined ? config : await resolveDsn(migrationDsn)
    if (own === undefined) await assertSessionsKept(config)
    const synchronousCommit = await prepare(config, { ...options, migrationConfig })
    const ours = schemaSettings(schema)
    const { pool, reader } = createReader(config, ours, { poolMax, health })
    const writerConnection = createWriterConnection(config, [...ours, ...writerSettings(synchronousCommit)], health)
    const pools = [pool]
    const opened: Queries[] = []
    let others = 1
    const openQueries = (maxConnections: number, how: QueriesOptions = {}): Queries => {
      others += maxConnections
      // Our own server was started for so many, and others plan theirs by it.
      if (others > OTHER_CONNECTIONS) throw new Error(`more than ${OTHER_CONNECTIONS} connections beside the readers`)
      const settings: Settings = [...ours, ['synchronous_commit', synchronousCommit]]
      const further = createQueriesPool(config, { settings, health, maxConnections, ...how })
      pools.push(further)
      const queries = new Queries(further, how)
      opened.push(queries)
      return queries
    }
    const renewSessions = (): void => {
      for (const one of [reader, ...opened]) one.renew()
    }
    let trials: Queries | undefined
    const tryCommit = async (): Promise<void> => {
      trials ??= openQueries(1)
      await trials.query(TRY_COMMIT)
    }
    const close = (): Promise<void> => closeAll(pools, own)
    return { reader, writerConnection, health, openQueries, renewSessions, tryCommit, close }
  } catch (error) {
    await own?.stop()
    throw error
  }
}

function createReader(
  config: pg.ClientConfig,
  settings: Settings,
  { poolMax, health }: { readonly poolMax: number; readonly health: DependencyLog },
): { readonly pool: Pool; readonly reader: Reader } {
  const pool = createPool(config, {
    health,
    max: poolMax,
    connectionTimeoutMs: READ_WAIT_LIMIT_MS,
    settings: [...settings, ...PLANNER_SETTINGS],
    assertUsable: assertPrimary,
  })
  const limits = { waitLimitMs: READ_WAIT_LIMIT_MS, answerLimitMs: READ_ANSWER_LIMIT_MS }
  return { pool, reader: new Reader({ pool, health, maxBatches: poolMax, ...limits }) }
}

function openOwn({ dataDir, poolMax, logger, isBesideService, tables }: DatabaseOptions): Promise<EmbeddedPostgres> {
  const own = { dataDir, connections: connectionsFor(poolMax), logger }
  return isBesideService ? reachEmbeddedPostgres({ ...own, mayBegin: tables === 'begin' }) : startEmbeddedPostgres(own)
}

type QueriesPoolOptions = QueriesOptions & {
  readonly settings: Settings
  readonly health: DependencyLog
  readonly maxConnections: number
}

/** Sessions that may write. Unless plans are kept each statement is planned anew: they are few and differ. */
function createQueriesPool(config: pg.ClientConfig, options: QueriesPoolOptions): Pool {
  const { health, maxConnections, keepsPlans, takesItsTime } = options
  return createPool(takesItsTime ? config : { ...config, query_timeout: QUERY_ANSWER_LIMIT_MS }, {
    health,
    max: maxConnections,
    connectionTimeoutMs: READ_WAIT_LIMIT_MS,
    ...(takesItsTime && { statementTimeoutMs: 0 }),
    settings: [...(keepsPlans ? PLANNER_SETTINGS : []), ...options.settings],
    assertUsable: assertDurable,
  })
}

/** Its sessions have these settings and keep what they commit, or are not used. */
export function createWriterConnection(
  config: pg.ClientConfig,
  settings: Settings,
  health: DependencyLog,
): WriterConnection {
  return new WriterConnection({
    config: { ...config, ...connectionOptions(STEP_DEADLINE_MS) },
    health,
    async establish(client) {
      await applySettings(client, settings)
      await assertDurable(client)
    },
    stepDeadlineMs: STEP_DEADLINE_MS,
    commitDeadlineMs: COMMIT_DEADLINE_MS,
  })
}

type PrepareOptions = Pick<DatabaseOptions, 'schema' | 'logger' | 'tables'> & {
  readonly migrationConfig: pg.ClientConfig
}

/** Resolves with the `synchronous_commit` that was found safe. */
async function prepare(config: pg.ClientConfig, options: PrepareOptions): Promise<string> {
  const { schema, logger } = options
  const client = new pg.Client({ ...config, ...connectionOptions() })
  client.on('error', (error) => logger.warn({ err: error }, 'lost a database connection'))
  await client.connect()
  try {
    await applySettings(client, [...limitSettings({}), ...schemaSettings(schema)])
    const synchronousCommit = await assertDurable(client)
    const { tables = 'migrate' } = options
    const isBegun = tables !== 'begin' || (await hasRecord(client))
    if (tables !== 'migrate' && isBegun) await assertMigrated(client)
    else await migrateFor(await currentRole(client), options)
    await assertRights(client, schema)
    return synchronousCommit
  } finally {
    await endClient(client)
  }
}

/** Makes what is missing, by the role for that, and lets the one that serves use it. */
async function migrateFor(role: string, { migrationConfig, schema, logger }: PrepareOptions): Promise<void> {
  const applied = await migrate(migrationConfig, {
    logger,
    schema,
    async finish(owner) {
      if ((await currentRole(owner)) !== role) await grantRights(owner, { role, schema }, logger)
      await mendIdentity(owner, logger)
    },
  })
  if (applied.length > 0) logger.info({ versions: applied }, 'migrated the database')
}

async function closeAll(pools: readonly Pool[], own: EmbeddedPostgres | undefined): Promise<void> {
  await Promise.all(pools.map((pool) => endPool(pool)))
  await own?.stop()
}
