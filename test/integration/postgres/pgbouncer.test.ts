import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../../../src/postgres/database.ts'
import { PLANNER_SETTINGS } from '../../../src/postgres/session-settings.ts'
import { pendingMessage } from '../../support/builders.ts'
import { createEmptyDatabase, type TestDatabase } from '../../support/databases.ts'
import { PGBOUNCER, type PgBouncer, pgBouncerVersion, startPgBouncer } from '../../support/pgbouncer.ts'
import { isLeftOut } from '../../support/plays.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'

describe.skipIf(isLeftOut(PGBOUNCER.programs))(
  `PgBouncer ${pgBouncerVersion ?? '(Debian: pgbouncer)'} in front of PostgreSQL`,
  () => {
    let database: TestDatabase
    let bouncer: PgBouncer | undefined

    beforeEach(async () => {
      database = await createEmptyDatabase()
    })
    afterEach(async () => {
      await bouncer?.stop()
      await database.drop()
    })

    async function open(settings: Record<string, string>) {
      bouncer = await startPgBouncer(database.dsn, settings)
      return openDatabase({ dsn: bouncer.dsn, schema: 'chat', dataDir: '', poolMax: 2, logger: silentLogger })
    }

    test('in session mode serves, and its sessions have every setting although it passes none on', async () => {
      const opened = await open({ pool_mode: 'session' })
      const session = await opened.writerConnection.session()
      const store = postgresStore(opened, silentLogger)
      const message = pendingMessage('ann', 'bob')
      await store.commit([message], [], 'fast')
      expect(await store.lastSeq(message.conversation)).toBe(1)
      const setting = { name: 'setting', text: 'select current_setting($1)' }
      for (const [name, value] of [
        ...PLANNER_SETTINGS,
        ['lock_timeout', '1200ms'],
        ['statement_timeout', '5s'],
        ['search_path', '"chat"'],
      ] as const) {
        expect([name, await session.query(setting, [name])]).toEqual([name, [[value]]])
      }
      await store.close()
      await opened.close()
    })

    test.each([
      ['hands out the session that was free last', { server_round_robin: '0' }],
      ['hands out its sessions in turn', { server_round_robin: '1', min_pool_size: '4' }],
    ])('in transaction mode is refused at the start, when it %s', async (_how, settings) => {
      await expect(open({ pool_mode: 'transaction', ...settings })).rejects.toThrow(
        'a pooler that lets connections share sessions',
      )
    })

    test('in statement mode is refused at the start', async () => {
      await expect(open({ pool_mode: 'statement' })).rejects.toThrow('share sessions')
    })
  },
)
