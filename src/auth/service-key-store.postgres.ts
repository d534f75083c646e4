import type { Queryable } from '../postgres/queries.ts'
import { type NewServiceKey, SCOPES, type Scope, type ServiceKeyStore, type StoredServiceKey } from './service-key.ts'

interface Row {
  readonly key_id: string
  readonly secret_hash: Buffer
  readonly name: string
  readonly scopes: string[]
  readonly expires_at: Date | null
  readonly revoked_at: Date | null
  readonly last_used_at: Date | null
}

const COLUMNS = 'key_id, secret_hash, name, scopes, expires_at, revoked_at, last_used_at'

/** Service keys in the table of that name. */
export class PostgresServiceKeyStore implements ServiceKeyStore {
  readonly #queries: Queryable

  constructor(queries: Queryable) {
    this.#queries = queries
  }

  async add({ keyId, secretHash, name, scopes }: NewServiceKey, lifetimeSeconds?: number): Promise<void> {
    await this.#queries.query(
      `insert into service_keys (key_id, secret_hash, name, scopes, expires_at)
       values ($1, $2, $3, $4, now() + make_interval(secs => $5))`,
      [keyId, secretHash, name, scopes, lifetimeSeconds],
    )
  }

  async find(keyId: string): Promise<StoredServiceKey | undefined> {
    const [row] = await this.#queries.query<Row>(`select ${COLUMNS} from service_keys where key_id = $1`, [keyId])
    return row && { ...toKey(row), secretHash: row.secret_hash }
  }

  async list(): Promise<ReturnType<typeof toKey>[]> {
    const rows = await this.#queries.query<Row>(`select ${COLUMNS} from service_keys order by created_at, key_id`)
    return rows.map(toKey)
  }

  async revoke(keyId: string): Promise<boolean> {
    const text = `update service_keys set revoked_at = now() where key_id = $1 and revoked_at is null returning key_id`
    return (await this.#queries.query(text, [keyId])).length > 0
  }

  async used(keyId: string): Promise<void> {
    await this.#queries.query('update service_keys set last_used_at = now() where key_id = $1', [keyId])
  }
}

function toKey({ key_id, name, scopes, expires_at, revoked_at, last_used_at }: Row) {
  return {
    keyId: key_id,
    name,
    // A scope of a later version means nothing to this one.
    scopes: scopes.filter((scope): scope is Scope => SCOPES.some((one) => one === scope)),
    expiresAtMs: expires_at?.getTime(),
    revokedAtMs: revoked_at?.getTime(),
    lastUsedAtMs: last_used_at?.getTime(),
  }
}
