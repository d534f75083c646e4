import pg from 'pg'
import type { Logger } from '../lib/logger.ts'
import { connectionOptions, endClient } from './pool.ts'
import { NEEDED_RIGHTS } from './rights.ts'
import { schemaSettings } from './schema.ts'
import { applySettings, limitSettings, type Settings } from './session-settings.ts'

/** How many rows were moved of each table that had any. */
export type MovedRows = Readonly<Record<string, number>>

export interface MoveTarget {
  readonly config: pg.ClientConfig
  readonly schema?: string | undefined
}

/** Tables that others refer to come first. What migrations were applied is the target's own. */
const TABLES = Object.keys(NEEDED_RIGHTS).filter((table) => table !== 'schema_migrations')
/** Where people's data begins: with a row in any of these a database is in use. */
const IN_USE = ['conversations', 'messages', 'users', 'accounts', 'service_keys']
const ROWS_AT_ONCE = 500
/** Of the texts of rows, which are held more than once on their way. A larger row goes by itself. */
const BYTES_AT_ONCE = 4 * 2 ** 20
const UNLIMITED = limitSettings({ statementTimeoutMs: 0, lockTimeoutMs: 0, idleInTransactionTimeoutMs: 0 })

/**
 * Copies every row from one migrated database to another in which nobody has done anything yet; all of it or nothing. Nothing may
 * write to the source meanwhile. The epoch comes along with the place that it belongs to, so the service finds that this is another
 * place, and renews it. Rejects when the target is in use, and says by which table.
 */
export async function moveRows(from: pg.ClientConfig, to: MoveTarget, logger: Logger): Promise<MovedRows> {
  const source = await connect(from, UNLIMITED, logger)
  try {
    const target = await connect(to.config, [...UNLIMITED, ...schemaSettings(to.schema)], logger)
    try {
      await source.query('begin isolation level repeatable read, read only')
      await target.query('begin')
      const moved = await moveAll(source, target)
      await target.query('commit')
      return moved
    } finally {
      // Without a commit the server rolls back.
      await endClient(target)
    }
  } finally {
    await endClient(source)
  }
}

async function connect(config: pg.ClientConfig, settings: Settings, logger: Logger): Promise<pg.Client> {
  const client = new pg.Client({ ...config, ...connectionOptions() })
  client.on('error', (error) => logger.warn({ err: error }, 'lost a database connection'))
  await client.connect()
  await applySettings(client, settings)
  return client
}

async function moveAll(source: pg.Client, target: pg.Client): Promise<MovedRows> {
  // Nobody begins to use it while it is filled.
  await target.query(`lock table ${TABLES.join(', ')} in exclusive mode`)
  for (const table of IN_USE) {
    if ((await countOf(target, table)) > 0)
      throw new Error(`The database of POSTGRES_DSN is in use: ${table} has rows.`)
  }
  for (const table of TABLES.toReversed()) await target.query(`delete from ${table}`)
  const moved: Record<string, number> = {}
  for (const table of TABLES) {
    const rows = await moveTable(source, target, table)
    if (rows !== (await countOf(target, table))) throw new Error(`${table} did not arrive whole`)
    if (rows > 0) moved[table] = rows
  }
  await continueSequences(source, target)
  return moved
}

async function countOf(client: pg.Client, table: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(`select count(*)::int as count from ${table}`)
  return rows[0]?.count ?? 0
}

/** Where a row lies, and how long its text is. */
interface Place {
  readonly place: string
  readonly bytes: number
}

/** First where rows lie and how long they are: a cursor would bring so many rows, however much they hold. Nothing moves them meanwhile. */
async function moveTable(source: pg.Client, target: pg.Client, table: string): Promise<number> {
  await source.query(
    `declare places no scroll cursor for select ctid::text as place, octet_length(to_json(t)::text) as bytes from ${table} t`,
  )
  let count = 0
  for (;;) {
    const { rows: places } = await source.query<Place>(`fetch ${ROWS_AT_ONCE} from places`)
    if (places.length === 0) break
    for (const piece of piecesOf(places)) count += await movePiece(source, target, table, piece)
  }
  await source.query('close places')
  return count
}

function piecesOf(places: readonly Place[]): string[][] {
  const pieces: string[][] = []
  let room = 0
  for (const { place, bytes } of places) {
    if (bytes > room) {
      pieces.push([])
      room = BYTES_AT_ONCE
    }
    pieces.at(-1)?.push(place)
    room -= bytes
  }
  return pieces
}

/** As JSON, which the servers alone read and write: no number or time passes through the types of JavaScript. */
async function movePiece(
  source: pg.Client,
  target: pg.Client,
  table: string,
  places: readonly string[],
): Promise<number> {
  const { rows } = await source.query<{ row: string }>(
    `select to_json(t)::text as row from ${table} t where ctid = any($1::tid[])`,
    [places],
  )
  await target.query(
    `insert into ${table} overriding system value
     select r.* from unnest($1::text[]) one(row) cross join lateral json_populate_record(null::${table}, one.row::json) r`,
    [rows.map(({ row }) => row)],
  )
  return rows.length
}

const SEQUENCES = `select format('%I', c.relname) as table, format('%I', a.attname) as column
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  where c.oid = any (select to_regclass(name) from unnest($1::text[]) name) and a.attidentity <> ''`

/** No number is given twice, also of a row that was removed. */
async function continueSequences(source: pg.Client, target: pg.Client): Promise<void> {
  const { rows } = await target.query<{ table: string; column: string }>(SEQUENCES, [TABLES])
  for (const { table, column } of rows) {
    const of = await source.query<{ name: string }>('select pg_get_serial_sequence($1, $2) as name', [table, column])
    const { rows: last } = await source.query<{ last_value: string; is_called: boolean }>(
      `select last_value::text, is_called from ${of.rows[0]?.name}`,
    )
    await target.query('select setval(pg_get_serial_sequence($1, $2), $3, $4)', [
      ...[table, column, last[0]?.last_value, last[0]?.is_called],
    ])
  }
}
