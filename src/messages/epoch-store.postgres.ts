import type { Queryable } from '../postgres/queries.ts'
import type { EpochRecord, EpochStore } from './epoch-store.ts'

/**
 * Where the epoch is now. The file of the log tells the timeline at once; the control file would only tell it at the next
 * checkpoint. A dump that is restored makes its tables anew, so their table has another oid.
 */
const PLACE = `(select (select system_identifier::text from pg_control_system()) as system_identifier,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int as timeline,
    (select oid::bigint from pg_database where datname = current_database()) as database_oid,
    to_regclass('conversations')::oid::bigint as conversations_oid)`

const RECORD = `s.epoch, (extract(epoch from s.renewed_at) * 1000000)::int8::text as renewed_at`

/** The number of a process may come again after a restart. */
const SESSION = `concat(pg_backend_pid(), ' of ', extract(epoch from pg_postmaster_start_time()))`

/** Why the place is another, or null. A place that was never looked at is not another one. */
const LOOK = `select ${RECORD}, s.conversations_oid is null as is_new, ${SESSION} as session,
    nullif(concat_ws(', ',
      case when s.system_identifier <> p.system_identifier then 'this is another server' end,
      case when s.timeline <> p.timeline
        then format('its timeline is %s and was %s: a standby was promoted, or a backup restored', p.timeline, s.timeline) end,
      case when s.database_oid <> p.database_oid then 'this is another database' end,
      case when s.conversations_oid <> p.conversations_oid then 'its tables were made anew, as by restoring a dump' end
    ), '') as moved_because
  from service_state s, ${PLACE} p`

const HERE = `system_identifier = p.system_identifier, timeline = p.timeline, database_oid = p.database_oid,
    conversations_oid = p.conversations_oid`

/** The first to look at a new database notes where it is. */
const SETTLE = `update service_state s set ${HERE} from ${PLACE} p where s.conversations_oid is null`

/** $1 the epoch that is to end, $2 why. The time grows also where the clock of the server went back. */
const RENEW = `update service_state s set epoch = gen_random_uuid()::text,
    renewed_at = greatest(clock_timestamp(), s.renewed_at + interval '1 millisecond'), renewed_because = $2, ${HERE}
  from ${PLACE} p where s.epoch = $1`

interface Row {
  readonly epoch: string
  readonly renewed_at: string
  readonly is_new: boolean
  readonly moved_because: string | null
  readonly session: string
}

/** The epoch in PostgreSQL, with what tells whether PostgreSQL is still the one that it was made in. */
export class PostgresEpochStore implements EpochStore {
  readonly #queries: Queryable

  constructor(queries: Queryable) {
    this.#queries = queries
  }

  async read(): Promise<EpochRecord> {
    const [row] = await this.#queries.query<Row>(LOOK)
    if (!row) throw new Error('service_state holds no row: the epoch is gone')
    if (row.is_new) await this.#queries.query(SETTLE)
    return {
      epoch: row.epoch,
      renewedAt: Number(row.renewed_at),
      movedBecause: row.moved_because ?? undefined,
      session: row.session,
    }
  }

  async renew(seen: EpochRecord, because: string): Promise<EpochRecord> {
    await this.#queries.query(RENEW, [seen.epoch, because])
    return this.read()
  }
}
