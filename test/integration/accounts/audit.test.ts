// The audit: one chain whoever writes to it, kept or lost with what was done, in which a change shows.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { AuditEntry } from '../../../src/accounts/audit.ts'
import { checkAudit } from '../../../src/accounts/audit-check.postgres.ts'
import { writeAudit } from '../../../src/accounts/audit-log.postgres.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { createDatabase, execute, silentLogger, type TestDatabase } from '../../support/databases.ts'

let created: TestDatabase
let database: Database
let queries: Queries

beforeAll(async () => {
  created = await createDatabase()
  database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 4, logger: silentLogger })
  queries = database.openQueries(4)
})
beforeEach(async () => {
  await execute(created.dsn, `truncate audit_log; update audit_head set audit_id = 0, hash = ''`)
})
afterAll(async () => {
  await database.writerConnection.close()
  await database.close()
  await created.drop()
})

const ACTOR = { kind: 'user', id: 'ann', address: '192.0.2.1', requestId: 'r1' } as const
const entry = (target: string): AuditEntry => ({
  actor: ACTOR,
  action: 'role',
  target,
  details: { role: 'admin', uses: 3, was: true, name: 'ünï "quoted" \\ ' },
})
const write = (target: string) => queries.transaction((transaction) => writeAudit(transaction, entry(target)))

async function written(count: number): Promise<void> {
  for (let at = 1; at <= count; at += 1) await write(`target ${at}`)
}

test('is one chain without a gap, whoever writes to it at the same time', async () => {
  await Promise.all(Array.from({ length: 60 }, (_, at) => write(`target ${at}`)))
  const { entries, end, fault } = await checkAudit(queries)
  expect([entries, fault, end.length]).toEqual([60, undefined, 64])
})

test('holds nothing of what was not done, and no gap for it', async () => {
  await write('done')
  const undone = queries.transaction(async (transaction) => {
    await writeAudit(transaction, entry('undone'))
    throw new Error('undone')
  })
  await expect(undone).rejects.toThrow('undone')
  await write('done as well')
  expect(await checkAudit(queries)).toMatchObject({ entries: 2, fault: undefined })
  expect(await queries.query('select target from audit_log order by audit_id')).toEqual([
    { target: 'done' },
    { target: 'done as well' },
  ])
})

test('of nothing is whole', async () => {
  expect(await checkAudit(queries)).toEqual({ entries: 0, end: '', fault: undefined })
})

test.each([
  ['a field', `update audit_log set target = 'another' where audit_id = 3`, 3, 'was changed'],
  ['a time', `update audit_log set at = at - interval '1 us' where audit_id = 3`, 3, 'was changed'],
  ['a detail', `update audit_log set details = details || '{"uses": 4}' where audit_id = 4`, 4, 'was changed'],
  ['its actor', `update audit_log set actor = 'eve' where audit_id = 1`, 1, 'was changed'],
  ['a missing entry', 'delete from audit_log where audit_id = 2', 2, 'is missing'],
  ['a missing beginning', 'delete from audit_log where audit_id = 1', 1, 'is missing'],
  ['a missing end', 'delete from audit_log where audit_id = 5', 5, 'is missing'],
  ['another end', `update audit_head set hash = sha256('x')`, 5, 'is not the one that was written last'],
  [
    'entries that changed places',
    `update audit_log set audit_id = 9 where audit_id = 2; update audit_log set audit_id = 2 where audit_id = 3;
     update audit_log set audit_id = 3 where audit_id = 9`,
    2,
    'does not follow the one before',
  ],
])('shows %s', async (_, tampering, auditId, reason) => {
  await written(5)
  await execute(created.dsn, tampering)
  expect((await checkAudit(queries)).fault).toEqual({ auditId, reason })
})

test('is read in pages', async () => {
  await execute(
    created.dsn,
    `do $$ declare before bytea := ''; own bytea; at text; begin
      for n in 1..2500 loop
        at := '2026-01-01T00:00:00.000000Z';
        own := sha256(before || convert_to('["' || n || '","' || at || '","service","","revoke","","","",[]]', 'utf8'));
        insert into audit_log values (n, at::timestamptz, '', 'service', 'revoke', '', '', '', '{}', before, own);
        before := own;
      end loop;
      update audit_head set audit_id = 2500, hash = before;
    end $$`,
  )
  expect(await checkAudit(queries)).toMatchObject({ entries: 2500, fault: undefined })
  await execute(created.dsn, `update audit_log set action = 'role' where audit_id = 1001`)
  expect((await checkAudit(queries)).fault).toEqual({ auditId: 1001, reason: 'was changed' })
})
