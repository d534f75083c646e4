import { isOne } from '../postgres/kept-plan.ts'
import { IS_LIVE, isPresent } from './subscription-store.postgres.ts'

/**
 * How long an instance holds a job: longer than it may wait there (4 s), than two attempts may take (10 s), and than the report
 * of them takes. The jobs of a killed instance are sent so much later.
 */
const LEASE_SECONDS = 16
/** Messages back from the head in which unread ones are looked for, and how many are counted. */
const UNREAD_WINDOW = 1_000
const MAX_UNREAD_COUNT = 100
/** Notifications of a user in an hour, and silent pushes of a subscription in a day. */
const MAX_PUSHES_PER_HOUR = 60
const MAX_CLEARS_PER_DAY = 10

/** Of a conversation and the user `who`. */
const position = (who: string, of: 'delivered' | 'read', c = 'c') =>
  `case when ${who} = ${c}.user_lo then ${c}.lo_${of}_seq else ${c}.hi_${of}_seq end`
/** The newest message that somebody else than `who` wrote above what `who` has read. */
const newest = (who: string, columns: string) => `left join lateral (
    select ${columns} from messages m where m.conversation_id = c.conversation_id and m.sender_id <> ${who}
      and m.seq > greatest(${position(who, 'read')}, c.last_seq - ${UNREAD_WINDOW})
    order by m.seq desc limit 1) n on true`
/** `where` is of one conversation, found by an index while the statistics say that there is none, too. */
const conversation = (where: string): string => `lateral (select * from conversations c where ${where} offset 0) c`
const isJob = (job: string, key: string): string =>
  `${isOne(`${job}.user_id`, `${key}.user_id`)} and ${job}.conversation_id = ${key}.conversation_id`

/** $1 lower and $2 higher user ids, $3 whose. */
export const STANDINGS = `select v.ord::int, c.conversation_id::float8 as id, (${position('v.user_id', 'delivered')})::float8 as delivered,
    (${position('v.user_id', 'read')})::float8 as read, coalesce(n.seq, 0)::float8 as newest
  from unnest($1::text[], $2::text[], $3::text[]) with ordinality v(lo, hi, user_id, ord)
  cross join ${conversation('c.user_lo = v.lo and c.user_hi = v.hi')}
  ${newest('v.user_id', 'm.seq')}`

/** Whether there is somebody to tell; whose login stands is asked when they are told. */
const hasAny = (userId: string): string =>
  `exists (select from push_subscriptions s where s.user_id = ${userId} and ${isPresent('s')} offset 0)`

/** 10, 30, 90, 270 and then 600 seconds: a thousand messages in ten minutes are five notifications. */
const PAUSE = `make_interval(secs => least(600, 10 * power(3, least(j.pushes, 9) - 1)))`

/** When the next notification may follow the last one. */
const AFTER_PAUSE = `case when j.pushed_at is null or j.pushes = 0 then now() else greatest(now(), least(now(), j.pushed_at) + ${PAUSE}) end`

/**
 * Adds rows of `wanted (user_id, conversation_id, until, age, seq)`. A job that is being sent stays with who sends it, whose end
 * of it looks at `last_seq` again. One that waits has its time already, unless somebody was told of what it was made for: then
 * the others alone wait for another attempt, and of something newer everybody is to hear.
 */
const upsert = (
  wanted: string,
) => `insert into push_jobs as j (user_id, conversation_id, kind, until, due_at, wanted_at, last_seq)
  select w.user_id, w.conversation_id, 0, w.until, now(), now() - make_interval(secs => w.age), w.seq
  from (${wanted}) w where ${hasAny('w.user_id')}
  order by w.user_id collate "C", w.conversation_id
  on conflict (user_id, conversation_id) do update set
    kind = 0, until = excluded.until, last_seq = greatest(j.last_seq, excluded.last_seq),
    wanted_at = excluded.wanted_at,
    attempts = case when j.due_at is null then 0 else j.attempts end,
    sent_to = case when excluded.last_seq > j.last_seq then null else j.sent_to end,
    due_at = case
      when j.lease_owner is not null and j.due_at > now() then j.due_at
      when j.due_at is not null and j.kind = 0 and coalesce(j.pushed_seq, 0) < j.last_seq then j.due_at
      else ${AFTER_PAUSE} end
  where excluded.last_seq > greatest(j.last_seq, coalesce(j.pushed_seq, 0))
    or (j.due_at is null and excluded.last_seq > coalesce(j.pushed_seq, 0))
  returning 1`

/** $1 user ids, $2 conversation ids, $3 until (0 delivered, 1 read), $4 ages in seconds, $5 seqs. */
export const WANT = upsert(
  'select * from unnest($1::text[], $2::int8[], $3::int2[], $4::float8[], $5::int8[]) v(user_id, conversation_id, until, age, seq)',
)

/**
 * $1 from and $2 to (milliseconds since the epoch): jobs for whoever has not received what was stored for them in between.
 * Of each conversation the newest message of a sender is enough: who has that has all.
 */
export const SWEEP = upsert(`
  select p.user_id, r.conversation_id, 0::int2 as until, extract(epoch from now() - r.at)::float8 as age, r.seq
  from (select conversation_id, sender_id, max(seq) as seq, max(created_at) as at from messages
      where created_at >= to_timestamp($1::float8 / 1000) and created_at < to_timestamp($2::float8 / 1000)
      group by conversation_id, sender_id) r
  join conversations c on c.conversation_id = r.conversation_id
  cross join lateral (select case when r.sender_id = c.user_lo then c.user_hi else c.user_lo end as user_id) p
  where p.user_id <> r.sender_id and ${position('p.user_id', 'delivered')} < r.seq
    and ${hasAny('p.user_id')}`)

/**
 * The end of a transaction that PostgreSQL may forget when it crashes: what it held is due again then, as after the crash of an
 * instance. To be read by the statement, or it is not done.
 */
export const WITHOUT_WAITING = `with unsynced as materialized (select set_config('synchronous_commit', 'off', true))`

/**
 * $1 how many, $2 who takes them. A job that is taken is due again when its lease ends, so nobody has to walk past those that
 * are being sent. What there is to say is read when it is said.
 */
export const CLAIM = `${WITHOUT_WAITING}, due as (
    select user_id, conversation_id from push_jobs where due_at <= now() order by due_at limit $1 for update skip locked),
  j as (
    update push_jobs o set lease_owner = $2::uuid, due_at = now() + make_interval(secs => ${LEASE_SECONDS})
    from unsynced cross join due where ${isJob('o', 'due')} returning o.*)
  select j.user_id, j.conversation_id::float8 as conversation_id, j.kind, j.attempts,
    extract(epoch from now() - j.wanted_at)::float8 as age, j.pushed_at is not null as was_pushed,
    coalesce(j.sent_to, '{}')::text[] as sent_to, greatest(j.last_seq, j.pushed_seq)::float8 as last_seq,
    case when j.user_id = c.user_lo then c.user_hi else c.user_lo end as peer,
    (select u.display_name from users u where u.user_id = case when j.user_id = c.user_lo then c.user_hi else c.user_lo end) as peer_name,
    coalesce(n.seq, 0)::float8 as newest, left(n.content, 2000) as text,
    (case when j.until = 0 then ${position('j.user_id', 'delivered')} else 0 end)::float8 as delivered,
    k.count::int as unread, b.count::int as badge, t.targets
  from j
  cross join ${conversation('c.conversation_id = j.conversation_id')}
  ${newest('j.user_id', 'm.seq, m.content')}
  cross join lateral (select count(*) from (select from messages m
      where m.conversation_id = c.conversation_id and m.sender_id <> j.user_id
        and m.seq > greatest(${position('j.user_id', 'read')}, c.last_seq - ${UNREAD_WINDOW})
      order by m.seq desc limit ${MAX_UNREAD_COUNT}) unread) k
  cross join lateral (select count(*) from (select from push_jobs o
      where o.user_id = j.user_id and o.kind = 0 and o.conversation_id <> j.conversation_id and o.pushed_at is not null
        and (select ${position('o.user_id', 'read', 'oc')} from conversations oc where oc.conversation_id = o.conversation_id)
          < greatest(o.last_seq, o.pushed_seq) limit ${MAX_UNREAD_COUNT}) others) b
  cross join lateral (select coalesce(json_agg(json_build_object(
      'id', s.subscription_id, 'user_id', s.user_id, 'endpoint', s.endpoint, 'host', s.host, 'p256dh', s.p256dh, 'auth', s.auth,
      'vapid_kid', s.vapid_kid, 'content', s.content, 'locale', s.locale,
      'closed', greatest(0, extract(epoch from (select h.not_before from push_hosts h where h.host = s.host) - now())),
      'spent', case when s.window_pushes < ${MAX_PUSHES_PER_HOUR} or s.window_started_at > now() then 0
        else greatest(0, extract(epoch from s.window_started_at + interval '1 hour' - now())) end,
      'clears_left', case when s.clears_on = current_date then greatest(0, ${MAX_CLEARS_PER_DAY} - s.clears)
        else ${MAX_CLEARS_PER_DAY} end)), '[]') as targets
    from push_subscriptions s
    where s.user_id = j.user_id and not s.subscription_id = any(coalesce(j.sent_to, '{}')) and ${IS_LIVE}) t`

/**
 * $1 a list of {user_id, conversation_id, owner, end, seq, wanted, newest, pushed, clear, after, failure, sent_to}. `seq`: up to where it
 * was told; `wanted`: what it was made for, when it was taken; `newest`: what there was then.
 */
const ENDED = `jsonb_to_recordset($1::jsonb) v(user_id text, conversation_id int8, owner uuid, "end" text, seq int8, wanted int8,
    newest int8, pushed bool, clear bool, after float8, failure bool, sent_to uuid[])`
const IS_HELD = `${isJob('j', 'v')} and j.lease_owner = v.owner`

/** How long after a notification it is worth a push to take it away. */
const CLEARED_WITHIN = `interval '1 day'`
/** A moment: an open page closes its notifications by itself, and a push that is still on its way comes first. */
const CLEAR_DELAY = `interval '1 second'`
/** It was read while it was sent, and may be on a screen. */
const IS_TO_CLEAR = `(v."end" <> 'void' and (j.kind = 0 or v."end" = 'kept') and (v.pushed or j.pushed_at >= now() - ${CLEARED_WITHIN})
  and ${position('v.user_id', 'read')} >= greatest(j.last_seq, v.newest))`
/** Nothing was told: what it was made for alone is done with. */
const WAS_COVERED = `j.last_seq <= case when v."end" in ('void', 'kept') then v.wanted else v.seq end`

/**
 * What came while it was sent is due after the pause that follows a notification, for everybody; one that is to show again at
 * once. `pushed` of the parameter: somebody was told.
 */
export const SETTLE = `${WITHOUT_WAITING}
  update push_jobs j set lease_owner = null,
    kind = case when ${IS_TO_CLEAR} then 1 when v."end" = 'kept' then 0 else j.kind end,
    sent_to = case when v."end" = 'again' and j.last_seq <= v.seq and not ${IS_TO_CLEAR} then v.sent_to end,
    attempts = case when v."end" <> 'again' or ${IS_TO_CLEAR} then 0 when v.failure then least(j.attempts + 1, 1000) else j.attempts end,
    pushed_seq = case when v."end" = 'done' or v.pushed then v.seq else j.pushed_seq end,
    pushed_at = case when v.pushed then now() when v."end" <> 'void' then j.pushed_at end,
    pushes = case when ${IS_TO_CLEAR} then 0
      when v.pushed and v.seq > coalesce(j.pushed_seq, 0) then least(j.pushes + 1, 1000) else j.pushes end,
    wanted_at = case when v."end" = 'done' or ${IS_TO_CLEAR} then now() else j.wanted_at end,
    due_at = case
      when ${IS_TO_CLEAR} then now() + ${CLEAR_DELAY}
      when v.clear and j.kind = 0 then ${AFTER_PAUSE}
      when v."end" = 'again' and (j.last_seq <= v.seq or not v.pushed) then now() + make_interval(secs => v.after)
      when v."end" = 'void' then now()
      when ${WAS_COVERED} then null
      when v.pushed then now() + make_interval(secs => least(600, 10 * power(3, least(j.pushes, 9))))
      else ${AFTER_PAUSE} end
  from unsynced cross join ${ENDED} left join ${conversation('c.conversation_id = v.conversation_id')} on true
  where ${IS_HELD} and (v."end" <> 'void' or not ${WAS_COVERED})`
/** What is void, unless something new came meanwhile: that was kept above, and is due. */
export const SETTLE_VOID = `delete from push_jobs j using ${ENDED}
  where ${IS_HELD} and v."end" = 'void' and ${WAS_COVERED}`

/**
 * $1 lower and $2 higher user ids, $3 who read. What was shown is to be taken away, what was not is forgotten; whether what is
 * being sent was read is looked at by `SETTLE`.
 */
const READ_JOBS = `select j.user_id, j.conversation_id, j.pushed_at from unnest($1::text[], $2::text[], $3::text[]) v(lo, hi, user_id)
  cross join ${conversation('c.user_lo = v.lo and c.user_hi = v.hi')}
  join push_jobs j on ${isOne('j.user_id', 'v.user_id')} and j.conversation_id = c.conversation_id
  where j.lease_owner is null and ${position('v.user_id', 'read')} >= greatest(j.last_seq, coalesce(j.pushed_seq, 0))
  order by v.user_id collate "C", c.conversation_id for update of j`
const TAKEN_AWAY = `kind = 1, due_at = now() + ${CLEAR_DELAY}, wanted_at = now(), attempts = 0, sent_to = null, pushes = 0`
export const READ = `with r as (${READ_JOBS}),
  gone as (delete from push_jobs j using r where ${isJob('j', 'r')}
    and (r.pushed_at is null or r.pushed_at < now() - ${CLEARED_WITHIN}))
  update push_jobs j set ${TAKEN_AWAY}
  from r where ${isJob('j', 'r')} and j.kind = 0
    and r.pushed_at >= now() - ${CLEARED_WITHIN}`

/** Jobs that are looked at in one go. */
const PAGE = 5_000
/**
 * $1 and $2 after which job. What was read and is on a screen because nobody could tell: an instance was killed within a second.
 * Returns how many, and the last job that was looked at; no row: there are no more.
 */
export const READ_AGAIN = `with page as (
    select user_id, conversation_id from push_jobs where (user_id, conversation_id) > ($1::text, $2::int8)
    order by user_id, conversation_id limit ${PAGE}),
  r as (
    select j.user_id, j.conversation_id from page join push_jobs j using (user_id, conversation_id)
    join conversations c on c.conversation_id = j.conversation_id
    where j.lease_owner is null and j.due_at is null and j.kind = 0 and j.pushed_at >= now() - ${CLEARED_WITHIN}
      and ${position('j.user_id', 'read')} >= greatest(j.last_seq, j.pushed_seq)
    order by j.user_id, j.conversation_id for update of j skip locked),
  taken as (
    update push_jobs j set ${TAKEN_AWAY} from r
    where j.user_id = r.user_id and j.conversation_id = r.conversation_id returning 1)
  select user_id, conversation_id::text, (select count(*) from taken)::int as taken from page
  order by user_id desc, conversation_id desc limit 1`

export const CLOSE_HOST = `insert into push_hosts as h (host, not_before) values ($1, now() + make_interval(secs => $2))
  on conflict (host) do update set not_before = greatest(h.not_before, excluded.not_before)`

/** The look for what was not pushed waits for it. */
const FORGOTTEN_AT_ONCE = 1_000
/** Nothing waits for longer: an hour for a push service, and a tenth more after many failures. */
const LONGEST_WAIT = `interval '70 minutes'`
/** What was put off by a clock of the database that has been set back since. What is being sent in that moment may be sent twice. */
export const HURRY = `update push_jobs set due_at = now(), wanted_at = least(wanted_at, now()) where (user_id, conversation_id) in (
  select user_id, conversation_id from push_jobs where due_at > now() + interval '1 minute'
    and (wanted_at > now() + interval '1 minute' or due_at > now() + ${LONGEST_WAIT})
  limit ${FORGOTTEN_AT_ONCE} for update skip locked)`
/** What stays on screens for good or was given up, and hosts that were open again long ago. */
export const FORGET_JOBS = `delete from push_jobs where (user_id, conversation_id) in (
  select user_id, conversation_id from push_jobs where due_at is null and (pushed_at < now() - interval '30 days'
    or (pushed_at is null and wanted_at < now() - interval '30 days')) limit ${FORGOTTEN_AT_ONCE} for update skip locked)`
export const FORGET_HOSTS = `delete from push_hosts where not_before < now() - interval '1 day' or not_before > now() + ${LONGEST_WAIT}`

/** So long the others leave the sweeping to an instance that was heard of; longer than a look may take. */
const SWEEP_LEASE = `interval '8 seconds'`

/** $1 who. A lease that ends later than any can is by a clock that was set back. Returns up to when it was swept and the database's time, in milliseconds; no row: another instance does it. */
export const TAKE_SWEEP = `update push_sweep set lease_owner = $1::uuid, lease_until = now() + ${SWEEP_LEASE}
  where lease_until is null or not lease_until between now() and now() + ${SWEEP_LEASE} or lease_owner = $1::uuid
  returning (extract(epoch from swept_until) * 1000)::text as swept, (extract(epoch from clock_timestamp()) * 1000)::text as now`
/** $1 who, $2 up to when. */
export const SWEPT = `update push_sweep set swept_until = to_timestamp($2::float8 / 1000), lease_until = now() + ${SWEEP_LEASE}
  where lease_owner = $1::uuid`
