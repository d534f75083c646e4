import { MemoryBrokerHub } from '../../src/delivery/broker.memory.ts'
import { describeBroker } from './broker.ts'

describeBroker('memory', () => {
  const hub = new MemoryBrokerHub()
  return { connect: async () => hub.connect(), close: async () => undefined }
})
