import { createHash } from 'node:crypto'
import type { Queries, Queryable, Transaction } from '../postgres/queries.ts'
import type { Statement } from '../postgres/statement.ts'
import type { AuditEntry } from './audit.ts'

/**
 * Adds entries to the chain, each with the hash of the one before. The head is locked first, so times follow each other as the
 * entries do. Where the head is gone there is no number for an entry, and none is taken.
 */
const ADD: Statement = {
  name: 'audit',
  text: `with recursive head as (select audit_id, hash from audit_head for update),
  given as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
      with ordinality v(actor_kind, actor, action, target, address, request_id, details, hashed, nth)),
  chain as (
    select 0::bigint as nth, audit_id, null::timestamptz as at, null::bytea as prev_hash, hash
      from (values (1)) one left join head on true
    union all
    select g.nth, c.audit_id + 1, n.at, c.hash, sha256(c.hash || convert_to('["' || (c.audit_id + 1) || '","'
        || to_char(n.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",' || g.hashed, 'UTF8'))
      from chain c join given g on g.nth = c.nth + 1 cross join lateral (select clock_timestamp() as at) n),
  added as (
    insert into audit_log (audit_id, at, actor_kind, actor, action, target, address, request_id, details, prev_hash, hash)
    select c.audit_id, c.at, actor_kind, actor, action, target, address, request_id, details::jsonb, c.prev_hash, c.hash
      from chain c join given using (nth))
  update audit_head set audit_id = c.audit_id, hash = c.hash from chain c where c.nth = cardinality($1::text[])`,
}

/**
 * Adds entries with the commit of this transaction: what was done and its entries are kept or lost together. They come with COMMIT
 * itself, because everybody else who has something to note waits for the end of the chain.
 */
export function writeAudit(transaction: Transaction, ...entries: readonly AuditEntry[]): void {
  if (entries.length === 0) return
  const rows = entries.map(({ actor, action, target, details = {} }) => {
    const fields = [actor.kind, actor.id, action, target, actor.address, actor.requestId]
    // Behind the opening bracket, number and time, which the database knows.
    return [...fields, JSON.stringify(details), hashedText(fields, details).slice(1)]
  })
  const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column] ?? ''))
  transaction.atCommit({ statement: ADD, values: columns })
}

/** Does something in a transaction that is noted with it. */
export function audited<T>(
  queries: Queries,
  entry: AuditEntry,
  work: (transaction: Queryable) => Promise<T>,
): Promise<T> {
  return queries.transaction(async (transaction) => {
    const done = await work(transaction)
    writeAudit(transaction, entry)
    return done
  })
}

/** SHA-256 of the hash before and of every field; the details in the order of their names, as `jsonb` keeps none. */
export function entryHash(
  before: Buffer,
  fields: readonly string[],
  details: Readonly<Record<string, string | number | boolean>>,
): Buffer {
  return createHash('sha256').update(before).update(hashedText(fields, details)).digest()
}

function hashedText(fields: readonly string[], details: Readonly<Record<string, string | number | boolean>>): string {
  const sorted = Object.entries(details).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([...fields, sorted])
}
