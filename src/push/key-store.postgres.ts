import { createHash, randomBytes } from 'node:crypto'
import type { Queryable } from '../postgres/queries.ts'
import type { PushKeyStore, PushKeys } from './keys.ts'
import { newPrivateScalar, vapidKeyOf } from './vapid.ts'

/** Of each name one is in use at a time; whoever comes second finds it made. */
const ADD = 'insert into secrets (name, kid, value) values ($1, $2, $3) on conflict do nothing'
const FIND = 'select kid, value from secrets where name = $1 and retired_at is null'
const RETIRED =
  'select kid, value from secrets where name = $1 and retired_at is not null order by retired_at desc, kid'

interface SecretRow {
  readonly kid: string
  readonly value: Buffer
}

/** The keys in the table `secrets`. Instances that start together end up with the same ones. */
export class PostgresPushKeyStore implements PushKeyStore {
  readonly #queries: Queryable

  constructor(queries: Queryable) {
    this.#queries = queries
  }

  async read(): Promise<PushKeys> {
    const vapid = await this.#ensured('vapid', () => {
      const value = newPrivateScalar()
      return { kid: kidOf(value), value }
    })
    const tag = await this.#ensured('push_tag', () => ({ kid: '1', value: randomBytes(32) }))
    const retired = await this.#queries.query<SecretRow>(RETIRED, ['vapid'])
    return {
      vapid: vapidKeyOf(vapid.kid, vapid.value),
      retired: retired.map(({ kid, value }) => vapidKeyOf(kid, value)),
      tagSecret: tag.value,
    }
  }

  async #ensured(name: string, make: () => SecretRow): Promise<SecretRow> {
    const [known] = await this.#queries.query<SecretRow>(FIND, [name])
    if (known) return known
    const { kid, value } = make()
    await this.#queries.query(ADD, [name, kid, value])
    const [made] = await this.#queries.query<SecretRow>(FIND, [name])
    if (!made) throw new Error('the keys of push could not be made')
    return made
  }
}

function kidOf(scalar: Buffer): string {
  return createHash('sha256').update('vapid').update(scalar).digest('base64url').slice(0, 16)
}
