import { type Commands, defineScript } from '../redis/client.ts'

/**
 * Keys, all under one prefix:
 *   instances          sorted set: instance → when its lease ends (Redis' clock, milliseconds); negative: it has had none, and
 *                      is taken for dead from then on
 *   instance:ID        set: users connected to that instance, and MARK once all of them are listed
 *   where:USER         set: instances that the user is connected to
 *   online             sorted set, all scores 0: users with a non-empty where, so in order of their ids; before them, for
 *                      each instance that has listed its users there, MARK and its id
 *   seen:USER          when the user was last online (milliseconds)
 * Channel presence:USER carries `online` or `offline MILLISECONDS`.
 *
 * Redis may lose any of these keys alone: deleted by hand, or evicted. A key in which an instance does not find its mark was
 * lost, and what it lacks says nothing. `where` has no mark; it can be made again from `instance:ID`.
 *
 * KEYS are not read. In a cluster the prefix has a hash tag, so that all of it lies in one slot, and KEYS say which. One of them is
 * never set: Redis refuses a command with several keys where one is missing while their slot is half moved (TRYAGAIN). A script that
 * ran then would find what has moved on one node alone, take the rest for lost, and write it a second time.
 */
const NEVER_SET = ['never-set', 'never-set-either'] as const
/** As long as `INSTANCE_LEASE_MS` may be. */
const LONGEST_LEASE_MS = 60_000
const LAST_SEEN_SECONDS = 30 * 24 * 3600
/** No user id begins with it, and it sorts before all of them. */
export const MARK = '!'
/** Sorts behind every mark and before every user. */
export const BEHIND_MARKS = '"'

/**
 * ARGV: prefix, instance, lease in milliseconds, users … Each is connected to the instance from now on. Returns how many entries were
 * not there. An instance that is not listed, as after a wipe, is listed without a lease, so that its users are swept if it dies
 * before it renews; not at once, because its first renewal may have failed.
 */
const JOIN = `
local p, instance = ARGV[1], ARGV[2]
local t = redis.call('TIME')
redis.call('ZADD', p .. 'instances', 'NX', -(t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[3]), instance)
local added = 0
for i = 4, #ARGV do
  local user = ARGV[i]
  added = added + redis.call('SADD', p .. 'instance:' .. instance, user)
  added = added + redis.call('SADD', p .. 'where:' .. user, instance)
  if redis.call('ZADD', p .. 'online', 0, user) == 1 then
    added = added + 1
    redis.call('PUBLISH', p .. 'presence:' .. user, 'online')
  end
end
return added`

/** `placed` makes `where` again from what the instances list; it returns whether any lists the user. */
const LEAVE_FUNCTIONS = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function placed(p, user)
  local found = false
  for _, other in ipairs(redis.call('ZRANGE', p .. 'instances', 0, -1)) do
    if redis.call('SISMEMBER', p .. 'instance:' .. other, user) == 1 then
      redis.call('SADD', p .. 'where:' .. user, other)
      found = true
    end
  end
  return found
end
local function gone(p, user)
  if redis.call('ZREM', p .. 'online', user) == 1 then
    redis.call('SET', p .. 'seen:' .. user, now, 'EX', ${LAST_SEEN_SECONDS})
    redis.call('PUBLISH', p .. 'presence:' .. user, 'offline ' .. now)
  end
end
local function leave(p, instance, user)
  redis.call('SREM', p .. 'instance:' .. instance, user)
  local wasThere = redis.call('SREM', p .. 'where:' .. user, instance) == 1
  if redis.call('SCARD', p .. 'where:' .. user) == 0 and (wasThere or not placed(p, user)) then gone(p, user) end
end`

/** ARGV: prefix, instance, users … None is connected to the instance any more. */
const LEAVE = `${LEAVE_FUNCTIONS}
for i = 3, #ARGV do leave(ARGV[1], ARGV[2], ARGV[i]) end`

/**
 * ARGV: prefix, dead instance, how many users at most. Takes them off it; when none is left, the instance itself. Returns how
 * many were taken. Several sweepers may run at once: each user is taken by one.
 */
const SWEEP = `${LEAVE_FUNCTIONS}
local p, instance = ARGV[1], ARGV[2]
local ends = redis.call('ZSCORE', p .. 'instances', instance)
if ends and math.abs(tonumber(ends)) > now then return 0 end
local users = redis.call('SPOP', p .. 'instance:' .. instance, ARGV[3])
for _, user in ipairs(users) do
  if user ~= '${MARK}' then leave(p, instance, user) end
end
if #users < tonumber(ARGV[3]) then
  redis.call('ZREM', p .. 'instances', instance)
  redis.call('ZREM', p .. 'online', '${MARK}' .. instance)
end
return #users`

/**
 * ARGV: prefix, instance, a user or BEHIND_MARKS, how many at most. Of those who are online behind that one takes off users
 * whom no instance has: a sweep cannot find them when what the dead instance listed was lost. What an instance lists without
 * its mark was lost, so there `where` is believed. Returns how many it looked at, and the last of them. Does nothing for an
 * instance without a lease: with it the leases of the others may have been lost.
 */
const PRUNE = `${LEAVE_FUNCTIONS}
local p, instance = ARGV[1], ARGV[2]
if not redis.call('ZSCORE', p .. 'instances', instance) then return {0, ''} end
local function has(other, user)
  if not redis.call('ZSCORE', p .. 'instances', other) then return false end
  local list = p .. 'instance:' .. other
  return redis.call('SISMEMBER', list, user) == 1 or redis.call('SISMEMBER', list, '${MARK}') == 0
end
local users = redis.call('ZRANGEBYLEX', p .. 'online', '(' .. ARGV[3], '+', 'LIMIT', 0, ARGV[4])
for _, user in ipairs(users) do
  local isHeld = false
  for _, other in ipairs(redis.call('SMEMBERS', p .. 'where:' .. user)) do
    if has(other, user) then isHeld = true else redis.call('SREM', p .. 'where:' .. user, other) end
  end
  if not isHeld and not placed(p, user) then gone(p, user) end
end
return {#users, users[#users] or ''}`

/**
 * ARGV: prefix, instance, lease in milliseconds, how many users it has. Returns whether the lease still stood, whether `online`
 * and whether what the instance lists still had its mark, how many other living instances lack theirs in `online`, the living
 * and the dead. What has no mark stays so: it has to be whole before anybody may believe it, as `online` is for whom nobody is
 * connected to.
 */
const RENEW = `
local p, instance = ARGV[1], ARGV[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = redis.call('ZSCORE', p .. 'instances', instance)
local stood = ends and tonumber(ends) >= now
redis.call('ZADD', p .. 'instances', now + ARGV[3], instance)
for _, other in ipairs(redis.call('ZRANGEBYSCORE', p .. 'instances', '(' .. now + ${LONGEST_LEASE_MS}, '+inf')) do
  redis.call('ZADD', p .. 'instances', now + ARGV[3], other)
end
local onlineStood = redis.call('ZSCORE', p .. 'online', '${MARK}' .. instance) and true
if not onlineStood and ARGV[4] == '0' then redis.call('ZADD', p .. 'online', 0, '${MARK}' .. instance) end
local listStood = redis.call('SISMEMBER', p .. 'instance:' .. instance, '${MARK}') == 1
local living = redis.call('ZRANGEBYSCORE', p .. 'instances', now, '+inf')
local unlisted = 0
for _, other in ipairs(living) do
  if not redis.call('ZSCORE', p .. 'online', '${MARK}' .. other) then unlisted = unlisted + 1 end
end
return {
  stood and 1 or 0,
  onlineStood and 1 or 0,
  listStood and 1 or 0,
  unlisted,
  living,
  redis.call('ZRANGEBYSCORE', p .. 'instances', -now, '(' .. now)
}`

export interface Renewal {
  /** The lease had not run out. */
  readonly stood: boolean
  /** What was registered is still listed in `online`. */
  readonly onlineStood: boolean
  /** What was registered is still listed as this instance's. */
  readonly listStood: boolean
  /** Other living instances whose users `online` may lack. */
  readonly unlisted: number
  readonly living: readonly string[]
  readonly dead: readonly string[]
}

export function parseRenewal(answer: unknown): Renewal {
  const [stood, onlineStood, listStood, unlisted, living, dead] = Array.isArray(answer) ? answer : []
  return {
    stood: stood === 1,
    onlineStood: onlineStood === 1,
    listStood: listStood === 1,
    unlisted: Number(unlisted),
    living: texts(living),
    dead: texts(dead),
  }
}

/** Keys of which none is ever set. */
export function neverSet(prefix: string): string[] {
  return NEVER_SET.map((name) => prefix + name)
}

/** Each takes its ARGV. */
export function presenceScripts(redis: Commands, isSharded = false) {
  const define = (name: string, lua: string) => {
    const placed = isSharded ? lua.replaceAll("'PUBLISH'", "'SPUBLISH'") : lua
    const script = defineScript(redis, name, placed, NEVER_SET.length)
    return (prefix: string, ...args: readonly (string | number)[]) => script(...neverSet(prefix), prefix, ...args)
  }
  return {
    join: define('presenceJoin', JOIN),
    leave: define('presenceLeave', LEAVE),
    sweep: define('presenceSweep', SWEEP),
    prune: define('presencePrune', PRUNE),
    renew: define('presenceRenew', RENEW),
  }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
