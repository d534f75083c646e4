// The audit: one chain whoever writes to it, kept or lost with what was done, in which a change shows.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { AuditEntry } from '../../../src/accounts/audit.ts'
import { checkAudit } from '../../../src/accounts/audit-check.postgres.ts'
import { entryHash, writeAudit } from '../../../src/accounts/audit-log.postgres.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

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
const write = (target: string) => queries.transaction(async (transaction) => writeAudit(transaction, entry(target)))

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

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
    writeAudit(transaction, entry('undone'))
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

test('is held by nobody who is not committing', async () => {
  const [begun, goingOn] = [gate(), gate()]
  const stopped = queries.transaction(async (transaction) => {
    writeAudit(transaction, entry('later'))
    begun.open()
    await goingOn.opened
  })
  // Or the other might have its connection first, and be over.
  await begun.opened
  await write('first')
  goingOn.open()
  await stopped
  expect(await checkAudit(queries)).toMatchObject({ entries: 2, fault: undefined })
  expect(await queries.query('select target from audit_log order by audit_id')).toEqual([
    { target: 'first' },
    { target: 'later' },
  ])
})

test('takes several entries at once, whatever is in them', async () => {
  const targets = ['', 'NULL', '{"a"}', `'"\\\n\t`, 'ünï 😀', 'null']
  await queries.transaction(async (transaction) => {
    writeAudit(transaction, ...targets.slice(0, 4).map(entry))
    writeAudit(transaction, ...targets.slice(4).map(entry))
    writeAudit(transaction)
  })
  expect(await checkAudit(queries)).toMatchObject({ entries: targets.length, fault: undefined })
  const rows = await queries.query('select target, details from audit_log order by audit_id')
  expect(rows).toEqual(targets.map((target) => ({ target, details: entry(target).details })))
})

test('goes on behind entries that the process has hashed', async () => {
  const at = '2026-01-01T00:00:00.000001Z'
  const details = { uses: 3, name: 'ünï "quoted" \\ ' }
  const hash = entryHash(Buffer.alloc(0), ['1', at, 'user', 'ann', 'role', 'bob', '', ''], details)
  await queries.query(
    `with head as (update audit_head set audit_id = 1, hash = $2)
     insert into audit_log values (1, $1::timestamptz, 'ann', 'user', 'role', 'bob', '', '', $3, '', $2)`,
    [at, hash, JSON.stringify(details)],
  )
  await written(3)
  expect(await checkAudit(queries)).toMatchObject({ entries: 4, fault: undefined })
})

test('takes no entry where its end is gone', async () => {
  await write('done')
  const [head] = await queries.query<{ hash: Buffer }>('delete from audit_head returning hash')
  await expect(write('not done')).rejects.toThrow('audit_id')
  await queries.query('insert into audit_head (audit_id, hash) values (1, $1)', [head?.hash])
  await write('done as well')
  expect(await checkAudit(queries)).toMatchObject({ entries: 2, fault: undefined })
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
