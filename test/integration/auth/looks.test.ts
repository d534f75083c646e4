// What revokes may wait for a lock or a standby, and nobody else's revocation with it.
import { expect, onTestFinished, test } from 'vitest'
import { PostgresRevocationStore } from '../../../src/auth/revocation-store.postgres.ts'
import { authenticationFor } from '../../../src/authentication.ts'
import { openDatabase } from '../../../src/postgres/database.ts'
import { Metrics } from '../../../src/telemetry/metrics.ts'
import { eventually } from '../../support/cluster-instance.ts'
import { createDatabase } from '../../support/databases.ts'
import { ExternalPostgres } from '../../support/external-postgres.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { openTransaction, rowsOf, WAITING_FOR_LOCK, WAITING_FOR_STANDBY } from '../../support/transactions.ts'

const CONFIG = {
  mode: 'accounts',
  registration: 'open',
  leewaySeconds: 0,
  maxLifetimeSeconds: 600,
  hasUserSearch: true,
} as const

test('a revocation that waits for the audit holds up no look for those of others', async () => {
  const created = await createDatabase()
  const database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  const metrics = new Metrics({ version: '1.2.3', closeCodes: [] })
  const guard = { credentialRefused: () => 0 }
  const authentication = authenticationFor(CONFIG, {
    database,
    logger: silentLogger,
    metrics,
    guard,
    maxConnections: 4,
  })
  if (!authentication) throw new Error('nobody is asked who they are')
  const { revocations } = authentication.services
  await authentication.start()
  const audit = await openTransaction(created.dsn, 'select from audit_head for update')
  let hasEnded = false
  const revoking = revocations
    .revoke({ jti: 'held' }, { actor: 'command line' })
    .catch(() => undefined)
    .finally(() => {
      hasEnded = true
    })
  await eventually(async () => (await rowsOf(created.dsn, WAITING_FOR_LOCK)).length > 0, 'the lock')
  const elsewhere = new PostgresRevocationStore(database.openQueries(1))
  await elsewhere.add({ jti: 'other' }, { actor: 'command line', lifetimeSeconds: 600 })
  await eventually(
    () => revocations.isRevoked({ userId: 'ann', issuedAtSeconds: 1, sessionId: undefined, tokenId: 'other' }),
    'the look',
  )
  expect([hasEnded, revocations.isStale]).toEqual([false, false])
  await audit.end()
  await revoking
  authentication.close()
  await database.writerConnection.close()
  await database.close()
  await created.drop()
})

test('since when a COMMIT waits for a standby is told, and what it revoked is read from there on', async () => {
  const postgres = await ExternalPostgres.start()
  onTestFinished(() => postgres.remove())
  const database = await openDatabase({ dsn: postgres.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  const store = new PostgresRevocationStore(database.openQueries(1))
  const elsewhere = new PostgresRevocationStore(database.openQueries(1))
  const waitFor = async (standby: string): Promise<void> => {
    await postgres.run(`alter system set synchronous_standby_names = ${standby}`)
    await postgres.run('select pg_reload_conf()')
  }
  const { serverTimeMs: beforeMs, waitingSinceMs: none } = await elsewhere.since(undefined)
  expect(none).toBeUndefined()
  await waitFor("'nobody'")
  let isOver = false
  let last = { jti: '' }
  // The server takes its time to hear of the setting: what comes before that waits for nobody.
  const adding = (async () => {
    for (let count = 1; !isOver; count += 1) {
      last = { jti: `token ${count}` }
      await store.add(last, { actor: 'command line', lifetimeSeconds: 600 })
    }
  })()
  await eventually(async () => (await rowsOf(postgres.dsn, WAITING_FOR_STANDBY)).length === 1, 'a COMMIT that waits')
  const { revocations: seen, waitingSinceMs } = await elsewhere.since(undefined)
  expect(seen.map(({ target }) => target)).not.toContainEqual(last)
  expect(waitingSinceMs).toBeGreaterThanOrEqual(beforeMs)
  isOver = true
  await waitFor("''")
  await adding
  const then = await elsewhere.since(waitingSinceMs)
  expect(then.revocations.map(({ target }) => target)).toEqual([last])
  expect(then.waitingSinceMs).toBeUndefined()
  await database.writerConnection.close()
  await database.close()
})
