import { isOne } from '../postgres/kept-plan.ts'
import type { Queries } from '../postgres/queries.ts'
import type { Throttle, ThrottleKey } from './throttle.ts'

interface Row {
  readonly ord: number
  /** Before this attempt. */
  readonly remaining: number
}

/**
 * One of each, or none. Those that are there are locked in one order, so that two that share keys wait for each other and do not
 * lock each other out. One that is new and meanwhile somebody else's is not among the rows.
 */
const TAKE = `with given as (
    select key, burst, seconds, ord::int as ord
      from unnest($1::bytea[], $2::float8[], $3::float8[]) with ordinality v(key, burst, seconds, ord)),
  held as (
    select t.throttle_key, v.ord,
        least(v.burst, t.tokens + greatest(0, extract(epoch from clock_timestamp() - t.at)) * v.burst / v.seconds)::float8 as remaining
      from given v join throttles t on ${isOne('t.throttle_key', 'v.key')} order by v.key for update of t),
  verdict as (select coalesce(min(remaining), 1) >= 1 as is_free from held),
  taken as (
    update throttles t set tokens = h.remaining - 1, at = clock_timestamp() from held h, verdict
      where is_free and ${isOne('t.throttle_key', 'h.throttle_key')}),
  added as (
    insert into throttles (throttle_key, tokens, at)
      select key, burst - 1, clock_timestamp() from given, verdict
        where is_free and not exists (select from held h where h.ord = given.ord) order by key
      on conflict (throttle_key) do nothing returning throttle_key)
  select ord, remaining from held union all select ord, burst from added join given on key = throttle_key`
const GIVE_BACK = `update throttles t set tokens = t.tokens + 1
  from (select throttle_key from throttles where throttle_key = any($1::bytea[]) order by throttle_key for update) v
  where ${isOne('t.throttle_key', 'v.throttle_key')}`

/** Buckets in the table `throttles`. */
export class PostgresThrottle implements Throttle {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async take(keys: readonly ThrottleKey[]): Promise<number> {
    if (keys.length === 0) return 0
    const columns = [keys.map(({ key }) => key), keys.map(({ burst }) => burst), keys.map(({ seconds }) => seconds)]
    const rows = await this.#queries.query<Row>(TAKE, columns)
    const longest = Math.max(0, ...rows.map(({ ord, remaining }) => waitMs(remaining, keys[ord - 1])))
    if (longest > 0) return longest
    return this.#takeRest(keys, new Set(rows.map(({ ord }) => ord)))
  }

  async giveBack(keys: readonly ThrottleKey[]): Promise<void> {
    if (keys.length === 0) return
    // What is above the burst is cut off by the next attempt.
    await this.#queries.query(GIVE_BACK, [keys.map(({ key }) => key)])
  }

  /** Of keys that somebody else began to use in the same moment. */
  async #takeRest(keys: readonly ThrottleKey[], taken: ReadonlySet<number>): Promise<number> {
    const waitMs = await this.take(keys.filter((_, at) => !taken.has(at + 1)))
    if (waitMs > 0) await this.giveBack(keys.filter((_, at) => taken.has(at + 1)))
    return waitMs
  }
}

function waitMs(remaining: number, key: ThrottleKey | undefined): number {
  if (key === undefined || remaining >= 1) return 0
  return Math.ceil((1 - remaining) * (key.seconds / key.burst) * 1000)
}
