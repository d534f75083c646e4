import { randomBytes } from 'node:crypto'
import type { Queries } from '../postgres/queries.ts'
import { randomText } from './secrets.ts'
import type { SigningKeyStore } from './signing-keys.ts'

interface Row {
  readonly key_id: string
  readonly secret: Buffer
}

const FIND = 'select k.key_id, k.secret from signing_keys k join service_state s using (epoch)'
/** Instances that see a new epoch together agree on the key of the first. */
const ADD = `insert into signing_keys (key_id, epoch, secret) select $1, epoch, $2 from service_state
  on conflict (epoch) do nothing`
const FORGET = 'delete from signing_keys k using service_state s where k.epoch <> s.epoch'

/** Signing keys in the table of that name. */
export class PostgresSigningKeyStore implements SigningKeyStore {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async current(): Promise<{ keyId: string; secret: Buffer }> {
    const [known] = await this.#queries.query<Row>(FIND)
    if (known) return { keyId: known.key_id, secret: known.secret }
    await this.#queries.query(ADD, [randomText(16), randomBytes(32)])
    await this.#queries.query(FORGET)
    const [made] = await this.#queries.query<Row>(FIND)
    if (!made) throw new Error('the epoch changed while its signing key was made')
    return { keyId: made.key_id, secret: made.secret }
  }
}
