import { connectInstance, type RedisInstance } from '../support/cluster-instance.ts'
import { sharedRedis } from '../support/redis.ts'
import { describeBroker } from './broker.ts'

describeBroker('Redis', () => {
  const redis = sharedRedis()
  const opened: RedisInstance[] = []
  return {
    async connect() {
      const instance = await connectInstance(redis)
      opened.push(instance)
      return instance.broker
    },
    close: async () => void (await Promise.all(opened.map((instance) => instance.close()))),
  }
})
