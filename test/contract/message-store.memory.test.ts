import { expect, test } from 'vitest'
import { MemoryMessageStore } from '../../src/messages/store.memory.ts'
import { pendingMessage } from '../support/builders.ts'
import { describeMessageStore } from './message-store.ts'
import { everything } from './message-store-commits.ts'

describeMessageStore('memory', async () => {
  const store = new MemoryMessageStore(() => Date.now())
  return { store, close: () => store.close() }
})

test('the memory message store keeps times in order when the clock goes back', async () => {
  let now = 5000
  const store = new MemoryMessageStore(() => now)
  await store.commit([pendingMessage('a', 'b')], [], 'fast')
  now = 1000
  await store.commit([pendingMessage('a', 'b')], [], 'fast')
  expect((await everything(store, 'a', 'b')).map(({ created_at }) => Date.parse(created_at))).toEqual([5000, 5000])
})
