import { systemClock } from '../../src/lib/clock.ts'
import { MemoryPresence } from '../../src/presence/presence.memory.ts'
import { describePresence } from './presence.ts'

describePresence('memory', async () => {
  const presence = new MemoryPresence(systemClock)
  return { presence, close: () => presence.close() }
})
