import { redisKind } from '../support/played-redis.ts'
import { sharedRedis } from '../support/redis.ts'
import { openMember } from '../support/redis-member.ts'
import { describeBroker } from './broker.ts'

describeBroker(`Redis (${redisKind()})`, () => {
  const { env, prefix } = sharedRedis()
  const opened: { close(): Promise<void> }[] = []
  return {
    async connect() {
      const member = await openMember(env, prefix)
      opened.push(member)
      return member.broker
    },
    close: async () => void (await Promise.all(opened.map((member) => member.close()))),
  }
})
