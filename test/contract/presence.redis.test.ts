import { eventually } from '../support/cluster-instance.ts'
import { redisKind } from '../support/played-redis.ts'
import { sharedRedis } from '../support/redis.ts'
import { openMember } from '../support/redis-member.ts'
import { describePresence } from './presence.ts'

describePresence(`Redis (${redisKind()})`, async () => {
  const { env, prefix } = sharedRedis()
  const { presence, close } = await openMember(env, prefix)
  await eventually(async () => (await presence.online(1)).count === 0, 'presence to be known')
  return { presence, close }
})
