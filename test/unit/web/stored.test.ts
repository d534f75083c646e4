// Which rows count where messages that were not sent stand behind those that are stored.
import { expect, test } from 'vitest'
import type { MessageItem } from '../../../src/client/index.ts'
import { countAfter, lastStored } from '../../../src/web/messages/stored.ts'

const stored = (seq: number, sender_id = 'ben'): MessageItem =>
  ({ id: `m${seq}`, seq, sender_id, content: `${seq}`, state: 'received' }) as MessageItem
const failed = { id: 'f', sender_id: 'amy', content: 'not sent', state: 'failed' } as MessageItem

test('what was not sent hides nothing of what is in sight above it', () => {
  const rows = [stored(1), stored(2), failed, { ...failed, id: 'g' }]
  expect([0, 1, 2, 3, 9].map((upTo) => lastStored(rows, upTo)?.seq)).toEqual([1, 2, 2, 2, 2])
  expect(lastStored([failed])).toBe(undefined)
})

test('those that came while one was away are counted also when something was not sent', () => {
  const rows = [stored(1), stored(2), stored(3, 'amy'), stored(4), failed]
  expect([0, 1, 2, 4].map((seq) => countAfter(rows, seq, 'amy'))).toEqual([3, 2, 1, 0])
})
