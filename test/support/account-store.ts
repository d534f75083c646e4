// The stores of built-in accounts on a database of their own, and people in them.
import { randomUUID } from 'node:crypto'
import { PostgresAccountStore } from '../../src/accounts/account-store.postgres.ts'
import type { Credentials, Door, Opening, OpenSession } from '../../src/accounts/account-store.ts'
import { PostgresAdminStore } from '../../src/accounts/admin-store.postgres.ts'
import { newMacKey } from '../../src/accounts/refresh-token.ts'
import { CONVERSATION_GATE } from '../../src/messages/gate.postgres.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import type { Queries } from '../../src/postgres/queries.ts'
import { createDatabase, type TestDatabase } from './databases.ts'
import { silentLogger } from './silent-logger.ts'

export const LIFE = { lifetimeSeconds: 60 }
export const ACTOR = { kind: 'user', id: 'ann', address: '192.0.2.1', requestId: 'r1' } as const

export interface AccountStores {
  readonly created: TestDatabase
  readonly queries: Queries
  readonly accounts: PostgresAccountStore
  readonly administration: PostgresAdminStore
  close(): Promise<void>
}

export async function openAccountStores(): Promise<AccountStores> {
  const created = await createDatabase()
  const database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  const queries = database.openQueries(4)
  return {
    created,
    queries,
    accounts: new PostgresAccountStore(queries, LIFE),
    administration: new PostgresAdminStore({ queries, life: LIFE, gate: CONVERSATION_GATE }),
    async close() {
      await database.writerConnection.close()
      await database.close()
      await created.drop()
    },
  }
}

export const opening = (more: Partial<Opening> = {}): Opening => ({
  session: {
    secret: { kind: 'refresh', macKey: newMacKey() },
    deviceName: undefined,
    userAgent: undefined,
    address: '',
  },
  deviceHash: Buffer.from(randomUUID()),
  replaces: undefined,
  actor: ACTOR,
  ...more,
})

/** What somebody new says; the text that the database keeps of their password is `phc 1`. */
export function registration(door: Door = { kind: 'open' }) {
  const username = `p${randomUUID().slice(0, 12)}`
  return { userId: `u-${username}`, username, displayName: undefined, phc: 'phc 1', door }
}

/** Somebody with an account, signed in by the password whose text of the database is `phc 1`. */
export async function somebody(
  { accounts }: Pick<AccountStores, 'accounts'>,
  more: Partial<Opening> = {},
): Promise<{ verified: Credentials; session: OpenSession }> {
  const given = registration()
  const session = await accounts.register(given, opening(more))
  const verified = await accounts.credentialsOf(given.userId)
  if (typeof session === 'string' || !verified) throw new Error('nobody was registered')
  return { verified, session }
}

export async function signIn(
  { accounts }: Pick<AccountStores, 'accounts'>,
  userId: string,
  more: Partial<Opening> = {},
): Promise<OpenSession> {
  const verified = await accounts.credentialsOf(userId)
  const session = verified && (await accounts.login(verified, opening(more), undefined))
  if (!session) throw new Error('not signed in')
  return session
}
