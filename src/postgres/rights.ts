import pg from 'pg'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { missingUsage } from './schema.ts'

type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'

type Rights = Readonly<Record<string, readonly Right[]>>

/**
 * What the statements of the service do. A statement that needs more adds its right here. Tables stand behind those that they refer
 * to: `messaging move` copies them in this order.
 */
export const NEEDED_RIGHTS: Rights = {
  schema_migrations: ['SELECT'],
  conversations: ['SELECT', 'INSERT', 'UPDATE'],
  messages: ['SELECT', 'INSERT'],
  service_state: ['SELECT', 'UPDATE'],
  users: ['SELECT', 'INSERT', 'UPDATE'],
  user_words: ['SELECT', 'INSERT', 'DELETE'],
  revocations: ['SELECT', 'INSERT', 'DELETE'],
  service_keys: ['SELECT', 'INSERT', 'UPDATE'],
  secrets: ['SELECT', 'INSERT'],
  push_subscriptions: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  push_jobs: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  push_hosts: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  push_sweep: ['SELECT', 'UPDATE'],
  tickets: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  accounts: ['SELECT', 'INSERT', 'UPDATE'],
  passwords: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  recovery_codes: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  sessions: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  devices: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  throttles: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  login_failures: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  invites: ['SELECT', 'INSERT', 'UPDATE'],
  one_time_links: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  signing_keys: ['SELECT', 'INSERT', 'DELETE'],
  audit_log: ['SELECT', 'INSERT'],
  audit_head: ['SELECT', 'UPDATE'],
  avatars: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
}

/** Granted before any statement needs them: the next release then starts without another hand. */
const ALL: readonly Right[] = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']
const GRANTED_RIGHTS: Rights = {
  ...Object.fromEntries(Object.keys(NEEDED_RIGHTS).map((table) => [table, ALL])),
  schema_migrations: ['SELECT'],
  // Whoever serves may add to it, and take nothing back.
  audit_log: NEEDED_RIGHTS['audit_log'] ?? [],
}

/** $1 tables and $2 rights, one pair an element; of the current user, or of the role $3. Returns those that are missing. */
const MISSING = `
  select name, wanted, to_regclass(name) is null as is_unseen
  from unnest($1::text[], $2::text[]) with ordinality v(name, wanted, ord)
  where to_regclass(name) is null or not has_table_privilege(coalesce($3, current_user::text), to_regclass(name), wanted)
  order by ord`

interface MissingRight {
  readonly name: string
  readonly wanted: Right
  readonly is_unseen: boolean
}

interface Grantee {
  readonly role: string
  /** Where the tables are, if a schema is named. */
  readonly schema: string | undefined
}

/** Lets another role use the tables, by one that may grant it. What it could not grant is found by `assertRights`. */
export async function grantRights(owner: pg.ClientBase, to: Grantee, logger: Logger): Promise<void> {
  const usage = await missingUsage(owner, to.schema, to.role)
  const missing = await findMissing(owner, GRANTED_RIGHTS, to.role)
  const tables = [...new Set(missing.map(({ name }) => name))]
  const grants = tables.map((table) => grant(GRANTED_RIGHTS[table] ?? [], table, to))
  for (const statement of [...(usage === undefined ? [] : [usage]), ...grants]) {
    await owner.query(statement).then(
      () => logger.info({ statement }, 'granted what the serving role lacked'),
      (error) =>
        logger.warn({ statement, reason: reasonOf(error) }, 'the serving role could not be granted its rights'),
    )
  }
}

/** Throws an Error that names each right the current role lacks, and how it is given. */
export async function assertRights(client: pg.ClientBase, schema: string | undefined): Promise<void> {
  const missing = await findMissing(client, NEEDED_RIGHTS, null)
  if (missing.length === 0) return
  const role = await currentRole(client)
  const usage = await missingUsage(client, schema, role)
  // Without it no table is seen, whatever may be done with them.
  const reasons = usage
    ? [`it may not look into the schema ${schema}: ${usage}`]
    : Object.keys(NEEDED_RIGHTS).flatMap((table) => reasonsFor(table, { role, schema }, missing))
  throw new Error(`The role "${role}" cannot serve from this database:\n- ${reasons.join('\n- ')}`)
}

/** By which role the server goes for this session. */
export async function currentRole(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ role: string }>('select current_user::text as role')
  return rows[0]?.role ?? ''
}

function reasonsFor(table: string, to: Grantee, missing: readonly MissingRight[]): string[] {
  const ofTable = missing.filter(({ name }) => name === table)
  if (ofTable.length === 0) return []
  if (ofTable.some(({ is_unseen }) => is_unseen)) {
    if (to.schema !== undefined) return [`the schema ${to.schema} has no table ${table}`]
    return [`it does not see the table ${table}: its search_path must name the schema, and it needs USAGE of that`]
  }
  const rights = ofTable.map(({ wanted }) => wanted)
  return [`it lacks ${rights.join(', ')} on ${table}: ${grant(rights, table, to)}`]
}

function grant(rights: readonly Right[], table: string, { role, schema }: Grantee): string {
  const name = schema === undefined ? table : `${pg.escapeIdentifier(schema)}.${table}`
  return `grant ${rights.join(', ').toLowerCase()} on ${name} to ${pg.escapeIdentifier(role)}`
}

async function findMissing(client: pg.ClientBase, rights: Rights, role: string | null): Promise<MissingRight[]> {
  const pairs = Object.entries(rights).flatMap(([table, wanted]) => wanted.map((right) => ({ table, right })))
  const { rows } = await client.query<MissingRight>(MISSING, [
    pairs.map(({ table }) => table),
    pairs.map(({ right }) => right),
    role,
  ])
  return rows
}
