import { createHash } from 'node:crypto'
import type { Queries, Queryable } from '../postgres/queries.ts'
import type { AuditEntry } from './audit.ts'

interface Head {
  readonly audit_id: string
  readonly hash: Buffer
  readonly at: string
}

/** Locks the head: one writer after another, so this is the last lock that a transaction takes. */
const NEXT = `update audit_head set audit_id = audit_id + 1
  returning audit_id::text, hash, to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`
const ADD = `with added as (
    insert into audit_log (audit_id, at, actor_kind, actor, action, target, address, request_id, details, prev_hash, hash)
    values ($1::bigint, $2::timestamptz, $3, $4, $5, $6, $7, $8, $9, $10, $11))
  update audit_head set hash = $11`

/** Adds an entry in this transaction, as its last statement: what was done and its entry are kept or lost together. */
export async function writeAudit(transaction: Queryable, entry: AuditEntry): Promise<void> {
  const [head] = await transaction.query<Head>(NEXT)
  if (!head) throw new Error('audit_head holds no row: the end of the audit is not known')
  const { actor, action, target, details = {} } = entry
  const fields = [actor.kind, actor.id, action, target, actor.address, actor.requestId]
  const hash = entryHash(head.hash, [head.audit_id, head.at, ...fields], details)
  await transaction.query(ADD, [head.audit_id, head.at, ...fields, JSON.stringify(details), head.hash, hash])
}

/** Does something in a transaction whose last statement notes it. */
export function audited<T>(
  queries: Queries,
  entry: AuditEntry,
  work: (transaction: Queryable) => Promise<T>,
): Promise<T> {
  return queries.transaction(async (transaction) => {
    const done = await work(transaction)
    await writeAudit(transaction, entry)
    return done
  })
}

/** SHA-256 of the hash before and of every field; the details in the order of their names, as `jsonb` keeps none. */
export function entryHash(
  before: Buffer,
  fields: readonly string[],
  details: Readonly<Record<string, string | number | boolean>>,
): Buffer {
  const sorted = Object.entries(details).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(before)
    .update(JSON.stringify([...fields, sorted]))
    .digest()
}
