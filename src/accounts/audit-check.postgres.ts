import type { Queryable } from '../postgres/queries.ts'
import { entryHash } from './audit-log.postgres.ts'

/** What became of the chain. `fault` names the first entry that is not as it was written, or lacks. */
export interface AuditCheck {
  readonly entries: number
  /** Hash of the last entry, in hex: kept elsewhere, it shows later that nothing before it was taken away. */
  readonly end: string
  readonly fault: { readonly auditId: number; readonly reason: string } | undefined
}

interface Row {
  readonly audit_id: string
  readonly at: string
  readonly actor_kind: string
  readonly actor: string
  readonly action: string
  readonly target: string
  readonly address: string
  readonly request_id: string
  readonly details: Readonly<Record<string, string | number | boolean>>
  readonly prev_hash: Buffer
  readonly hash: Buffer
}

const PAGE = 1_000
const ENTRIES = `select audit_id::text, to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, actor_kind, actor,
    action, target, address, request_id, details, prev_hash, hash
  from audit_log l where l.audit_id > $1::bigint order by l.audit_id limit ${PAGE}`
const HEAD = 'select audit_id::text, hash from audit_head'

/** Reads the audit from its first entry on, in pages, and stops where it is not what was written. Entries may be added meanwhile. */
export async function checkAudit(queries: Queryable): Promise<AuditCheck> {
  const [head] = await queries.query<{ audit_id: string; hash: Buffer }>(HEAD)
  if (!head) throw new Error('audit_head holds no row: the end of the audit is not known')
  let last: { auditId: number; hash: Buffer } = { auditId: 0, hash: Buffer.alloc(0) }
  const checked = (fault?: AuditCheck['fault']): AuditCheck => {
    return { entries: last.auditId, end: last.hash.toString('hex'), fault }
  }
  for (;;) {
    const rows = await queries.query<Row>(ENTRIES, [last.auditId])
    for (const row of rows) {
      const auditId = Number(row.audit_id)
      const reason = faultOf(row, last)
      if (reason !== undefined) return checked({ auditId: last.auditId + 1, reason })
      last = { auditId, hash: row.hash }
      if (row.audit_id === head.audit_id && !row.hash.equals(head.hash)) {
        return checked({ auditId, reason: 'is not the one that was written last' })
      }
    }
    if (rows.length < PAGE) break
  }
  const isCut = last.auditId < Number(head.audit_id)
  return checked(isCut ? { auditId: last.auditId + 1, reason: 'is missing' } : undefined)
}

function faultOf(row: Row, last: { auditId: number; hash: Buffer }): string | undefined {
  if (Number(row.audit_id) !== last.auditId + 1) return 'is missing'
  if (!row.prev_hash.equals(last.hash)) return 'does not follow the one before'
  const fields = [row.audit_id, row.at, row.actor_kind, row.actor, row.action, row.target, row.address, row.request_id]
  return entryHash(row.prev_hash, fields, row.details).equals(row.hash) ? undefined : 'was changed'
}
