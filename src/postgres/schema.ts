import pg from 'pg'
import type { Settings } from './session-settings.ts'
import { sqlStateOf } from './statement.ts'

const NO_RIGHT = '42501'

/**
 * Where a session finds and makes tables: in this schema alone, whatever the role, the database or the address say. None: nothing is
 * set, and they say it.
 */
export function schemaSettings(schema: string | undefined): Settings {
  return schema === undefined ? [] : [['search_path', pg.escapeIdentifier(schema)]]
}

/** Makes a schema that is missing; throws an Error that says the statement when the role may not do that, or not look into it. */
export async function openSchema(client: pg.ClientBase, schema: string): Promise<void> {
  const name = pg.escapeIdentifier(schema)
  const { rows } = await client.query<{ is_there: boolean; role: string }>(
    'select to_regnamespace($1) is not null as is_there, current_user::text as role',
    [name],
  )
  const { is_there, role = '' } = rows[0] ?? {}
  // Not `if not exists`: that needs the right to create schemas even when there is nothing to create.
  if (!is_there) await createSchema(client, schema, role)
  const usage = await missingUsage(client, schema, role)
  if (usage) throw new Error(`The role "${role}" may not look into the schema ${schema}: ${usage}`)
}

async function createSchema(client: pg.ClientBase, schema: string, role: string): Promise<void> {
  const name = pg.escapeIdentifier(schema)
  await client.query(`create schema ${name}`).catch((error: unknown) => {
    if (sqlStateOf(error) !== NO_RIGHT) throw error
    const statement = `create schema ${name} authorization ${pg.escapeIdentifier(role)}`
    throw new Error(`There is no schema ${schema}, and the role may not create it: ${statement}`, { cause: error })
  })
}

/** What lets a role see the tables of a schema; undefined when it does already, and where no schema is named. */
export async function missingUsage(
  client: pg.ClientBase,
  schema: string | undefined,
  role: string,
): Promise<string | undefined> {
  if (schema === undefined) return undefined
  const name = pg.escapeIdentifier(schema)
  const { rows } = await client.query<{ may: boolean | null }>(
    "select has_schema_privilege($1::name, to_regnamespace($2), 'USAGE') as may",
    [role, name],
  )
  return rows[0]?.may ? undefined : `grant usage on schema ${name} to ${pg.escapeIdentifier(role)}`
}
