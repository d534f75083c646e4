import type pg from 'pg'
import type { Logger } from '../lib/logger.ts'

/** $1 a sequence. The last value it gave, and the highest that a conversation has; null where there is none. */
const LOOK = `
  select (select s.last_value from pg_sequences s, pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.oid = $1::regclass and s.schemaname = n.nspname and s.sequencename = c.relname) as given,
         (select max(conversation_id) from conversations) as highest,
         has_sequence_privilege($1::regclass, 'SELECT') as may_look`

interface Look {
  readonly given: number | null
  readonly highest: number | null
  /** Without it nothing is given, too. */
  readonly may_look: boolean
}

/**
 * A restore can leave the sequence of conversation ids behind its table: each new conversation would then be refused as one that
 * exists. Sets it right, by a role that may; throws an Error that says how when this one may not. It never sets it back.
 */
export async function mendIdentity(client: pg.ClientBase, logger: Logger): Promise<void> {
  const { rows } = await client.query<{ sequence: string | null }>(
    "select pg_get_serial_sequence('conversations', 'conversation_id') as sequence",
  )
  const sequence = rows[0]?.sequence
  if (!sequence)
    throw new Error('conversations.conversation_id is no identity column: the schema is not that of this service')
  if (!isBehind(await look(client, sequence))) return
  const statement = `select setval('${sequence}', (select max(conversation_id) from conversations))`
  try {
    await client.query('begin')
    // No conversation can be opened, and take a later value, between the look and the correction.
    await client.query('lock table conversations in share row exclusive mode')
    if (isBehind(await look(client, sequence))) await client.query(statement)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw new Error(`New conversations would be refused, because ${sequence} is behind its table: run "${statement}"`, {
      cause: error,
    })
  }
  logger.warn(
    { sequence },
    'the sequence of conversation ids was behind its table, as after a restore, and was set right',
  )
}

async function look(client: pg.ClientBase, sequence: string): Promise<Look> {
  const { rows } = await client.query<Look>(LOOK, [sequence])
  return rows[0] ?? { given: null, highest: null, may_look: false }
}

function isBehind({ given, highest, may_look }: Look): boolean {
  return may_look && highest !== null && (given ?? 0) < highest
}
