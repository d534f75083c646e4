import type { Queryable } from '../postgres/queries.ts'
import type { TokenIdentity } from './claims.ts'
import type { TicketStore } from './tickets.ts'

const ADD = `insert into tickets (ticket_hash, identity, expires_at)
  values ($1, $2, now() + make_interval(secs => $3))`
/** The second of two uses finds the row gone. */
const TAKE = `delete from tickets where ticket_hash = $1 returning identity, expires_at > clock_timestamp() as is_valid`
/** A few at a time with each new ticket, so that the table holds no more than half a minute of them. */
const REMOVE_EXPIRED = `delete from tickets where ticket_hash in
  (select ticket_hash from tickets where expires_at <= now() order by expires_at limit 10 for update skip locked)`

/** Tickets in the table of that name. */
export class PostgresTicketStore implements TicketStore {
  readonly #queries: Queryable

  constructor(queries: Queryable) {
    this.#queries = queries
  }

  async add(hash: Buffer, identity: TokenIdentity, lifetimeSeconds: number): Promise<void> {
    await this.#queries.query(ADD, [hash, JSON.stringify(identity), lifetimeSeconds])
    await this.#queries.query(REMOVE_EXPIRED)
  }

  async take(hash: Buffer): Promise<TokenIdentity | undefined> {
    const [row] = await this.#queries.query<{ identity: Partial<TokenIdentity>; is_valid: boolean }>(TAKE, [hash])
    if (!row?.is_valid) return undefined
    const { userId = '', expiresAtMs = 0, issuedAtSeconds, sessionId, tokenId } = row.identity
    return { userId, expiresAtMs, issuedAtSeconds, sessionId, tokenId }
  }
}
