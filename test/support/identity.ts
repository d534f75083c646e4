// One service with AUTH=jwt, and tokens and keys for it.
import type { App } from '../../src/app.ts'
import { newServiceKey, type Scope } from '../../src/auth/service-key.ts'
import { PostgresServiceKeyStore } from '../../src/auth/service-key-store.postgres.ts'
import type { Database } from '../../src/postgres/database.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { startOn } from './app.ts'
import { createDatabase, type TestDatabase } from './databases.ts'
import { silentLogger } from './silent-logger.ts'
import { SECRET } from './tokens.ts'

/** Tests send many wrong credentials from one address. */
export const JWT_ENV = { AUTH: 'jwt', JWT_SECRET: SECRET, ADDRESS_REFUSALS_PER_SECOND: '0' }

export interface IdentityBench {
  readonly database: TestDatabase
  /** Starts one more instance on the same database. */
  start(env?: Readonly<Record<string, string>>): Promise<App>
  /** A new key with these scopes. */
  key(...scopes: Scope[]): Promise<string>
  close(): Promise<void>
}

export async function identityBench(): Promise<IdentityBench> {
  const database = await createDatabase()
  const opened: Database = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  const store = new PostgresServiceKeyStore(opened.openQueries(1))
  const apps: App[] = []
  return {
    database,
    async start(env = {}) {
      const app = await startOn(database.dsn, { ...JWT_ENV, ...env })
      apps.push(app)
      return app
    },
    async key(...scopes) {
      const { key, stored } = newServiceKey('test', scopes)
      await store.add(stored)
      return key
    },
    async close() {
      await Promise.all(apps.map((app) => app.stop()))
      await opened.writerConnection.close()
      await opened.close()
      await database.drop()
    },
  }
}

export const bearer = (credential: string): { Authorization: string } => ({ Authorization: `Bearer ${credential}` })
