import type { Queries } from '../postgres/queries.ts'
import type { Throttle, ThrottleKey } from './throttle.ts'

interface Row {
  readonly ord: number
  readonly left: number
}

const ENSURE = `insert into throttles (throttle_key, tokens, at)
  select key, burst, clock_timestamp() from unnest($1::bytea[], $2::float8[]) v(key, burst) order by key
  on conflict (throttle_key) do nothing`
/** In one order, so that two that share keys wait for each other and do not lock each other out. */
const LOCK = `select v.ord::int as ord,
    least(v.burst, t.tokens + greatest(0, extract(epoch from clock_timestamp() - t.at)) * v.burst / v.seconds)::float8 as left
  from throttles t join unnest($1::bytea[], $2::float8[], $3::float8[]) with ordinality v(key, burst, seconds, ord)
    on t.throttle_key = v.key
  order by t.throttle_key for update of t`
const SET = `update throttles t set tokens = v.tokens, at = clock_timestamp()
  from unnest($1::bytea[], $2::float8[]) v(key, tokens) where t.throttle_key = v.key`
const GIVE_BACK = `update throttles t set tokens = t.tokens + 1
  from (select throttle_key from throttles where throttle_key = any($1::bytea[]) order by throttle_key for update) v
  where t.throttle_key = v.throttle_key`

/** Buckets in the table `throttles`. */
export class PostgresThrottle implements Throttle {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async take(keys: readonly ThrottleKey[]): Promise<number> {
    if (keys.length === 0) return 0
    const names = keys.map(({ key }) => key)
    const bursts = keys.map(({ burst }) => burst)
    const seconds = keys.map((one) => one.seconds)
    return this.#queries.transaction(async (transaction) => {
      await transaction.query(ENSURE, [names, bursts])
      const rows = await transaction.query<Row>(LOCK, [names, bursts, seconds])
      const waits = rows.map(({ ord, left }) => waitMs(left, keys[ord - 1]))
      const longest = Math.max(0, ...waits)
      if (longest > 0) return longest
      const lefts = rows.map(({ left }) => left - 1)
      await transaction.query(SET, [rows.map(({ ord }) => names[ord - 1]), lefts])
      return 0
    })
  }

  async giveBack(keys: readonly ThrottleKey[]): Promise<void> {
    if (keys.length === 0) return
    // What is above the burst is cut off by the next attempt.
    await this.#queries.query(GIVE_BACK, [keys.map(({ key }) => key)])
  }
}

function waitMs(left: number, key: ThrottleKey | undefined): number {
  if (key === undefined || left >= 1) return 0
  return Math.ceil((1 - left) * (key.seconds / key.burst) * 1000)
}
