import { connectInstance, eventually } from '../support/cluster-instance.ts'
import { sharedRedis } from '../support/redis.ts'
import { describePresence } from './presence.ts'

describePresence('Redis', async () => {
  const instance = await connectInstance(sharedRedis())
  const { presence } = instance
  await eventually(async () => (await presence.online(1)).count === 0, 'presence to be known')
  return { presence, close: () => instance.close() }
})
