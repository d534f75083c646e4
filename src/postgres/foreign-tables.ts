import type pg from 'pg'
import type { Migration } from './migrations.ts'

/** $1 names. Those of them that are there already, where a table without a schema in its name would be made. */
const TAKEN = `select current_schema() as schema, array_agg(name order by ord) filter (
    where to_regclass(quote_ident(current_schema()) || '.' || quote_ident(name)) is not null) as taken
  from unnest($1::text[]) with ordinality v(name, ord)`

const LIST_COLUMNS = `select a.attname::text as name from pg_attribute a
  where a.attrelid = to_regclass('schema_migrations') and a.attnum > 0 and not a.attisdropped order by a.attnum`
/** Other programs keep a table of this name, too. */
const OWN_COLUMNS = ['version', 'name', 'checksum', 'applied_at']

const ADVICE =
  'Nothing was changed. Give the service a database of its own, or a schema of its own, such as ' +
  'POSTGRES_SCHEMA=chat.'

/**
 * To be called before the first migration makes anything: throws an Error that names the tables of another program that stand where
 * this service would put its own.
 */
export async function assertNamesFree(client: pg.ClientBase, migrations: readonly Migration[]): Promise<void> {
  const names = migrations.flatMap(({ sql }) => [...sql.matchAll(/^create table (\w+)/gm)].map(([, name = '']) => name))
  const { rows } = await client.query<{ schema: string | null; taken: string[] | null }>(TAKEN, [names])
  const { schema, taken } = rows[0] ?? {}
  if (!schema)
    throw new Error('The search_path of the role names no schema that there is: create it, or grant USAGE of it.')
  if (!taken) return
  throw new Error(
    `The schema ${schema} holds tables of another program, under names that this service needs: ${taken.join(', ')}. ${ADVICE}`,
  )
}

/** Throws when the record of migrations is one that another program keeps. */
export async function assertOwnRecord(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>(LIST_COLUMNS)
  const columns = rows.map(({ name }) => name)
  if (OWN_COLUMNS.every((name) => columns.includes(name))) return
  throw new Error(`The table schema_migrations is another program's: its columns are ${columns.join(', ')}. ${ADVICE}`)
}
