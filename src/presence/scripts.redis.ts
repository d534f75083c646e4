import { defineScript, type Redis } from '../redis/client.ts'

/**
 * Keys, all under one prefix:
 *   instances          sorted set: instance → when its lease ends (Redis' clock, milliseconds); 0: it has had none
 *   instance:ID        set: users connected to that instance
 *   where:USER         set: instances that the user is connected to
 *   online             sorted set, all scores 0: users with a non-empty where, so in order of their ids
 *   seen:USER          when the user was last online (milliseconds)
 * Channel presence:USER carries `online` or `offline MILLISECONDS`.
 *
 * KEYS[1] is only there to say which node of a cluster; use a prefix with a hash tag, such as {msg}:, with a cluster.
 */
const LAST_SEEN_SECONDS = 30 * 24 * 3600

/**
 * ARGV: prefix, instance, users … Each is connected to the instance from now on. An instance that is not listed, as after a
 * wipe, is listed without a lease, so that its users are swept if it dies before it renews.
 */
const JOIN = `
local p, instance = ARGV[1], ARGV[2]
redis.call('ZADD', p .. 'instances', 'NX', 0, instance)
for i = 3, #ARGV do
  local user = ARGV[i]
  redis.call('SADD', p .. 'instance:' .. instance, user)
  redis.call('SADD', p .. 'where:' .. user, instance)
  if redis.call('ZADD', p .. 'online', 0, user) == 1 then
    redis.call('PUBLISH', p .. 'presence:' .. user, 'online')
  end
end`

const LEAVE_FUNCTION = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function leave(p, instance, user)
  redis.call('SREM', p .. 'instance:' .. instance, user)
  redis.call('SREM', p .. 'where:' .. user, instance)
  if redis.call('SCARD', p .. 'where:' .. user) == 0 and redis.call('ZREM', p .. 'online', user) == 1 then
    redis.call('SET', p .. 'seen:' .. user, now, 'EX', ${LAST_SEEN_SECONDS})
    redis.call('PUBLISH', p .. 'presence:' .. user, 'offline ' .. now)
  end
end`

/** ARGV: prefix, instance, users … None is connected to the instance any more. */
const LEAVE = `${LEAVE_FUNCTION}
for i = 3, #ARGV do leave(ARGV[1], ARGV[2], ARGV[i]) end`

/**
 * ARGV: prefix, dead instance, how many users at most. Takes them off it; when none is left, the instance itself. Returns how
 * many were taken. Several sweepers may run at once: each user is taken by one.
 */
const SWEEP = `${LEAVE_FUNCTION}
local p, instance = ARGV[1], ARGV[2]
local ends = redis.call('ZSCORE', p .. 'instances', instance)
if ends and tonumber(ends) > now then return 0 end
local users = redis.call('SPOP', p .. 'instance:' .. instance, ARGV[3])
for _, user in ipairs(users) do leave(p, instance, user) end
if #users < tonumber(ARGV[3]) then redis.call('ZREM', p .. 'instances', instance) end
return #users`

/** ARGV: prefix, instance, lease in milliseconds. Returns whether the lease still stood, the living and the dead. */
const RENEW = `
local p, instance = ARGV[1], ARGV[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = redis.call('ZSCORE', p .. 'instances', instance)
local stood = ends and tonumber(ends) >= now
redis.call('ZADD', p .. 'instances', now + ARGV[3], instance)
return {
  stood and 1 or 0,
  redis.call('ZRANGEBYSCORE', p .. 'instances', now, '+inf'),
  redis.call('ZRANGEBYSCORE', p .. 'instances', '-inf', '(' .. now)
}`

export function presenceScripts(redis: Redis) {
  return {
    join: defineScript(redis, 'presenceJoin', JOIN, 1),
    leave: defineScript(redis, 'presenceLeave', LEAVE, 1),
    sweep: defineScript(redis, 'presenceSweep', SWEEP, 1),
    renew: defineScript(redis, 'presenceRenew', RENEW, 1),
  }
}
