import { expect, test } from 'vitest'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { KnownPositions } from '../../../src/messages/known-positions.ts'
import { MessageService } from '../../../src/messages/service.ts'
import { writerBench } from '../../support/writer.ts'

test('a send that is refused before it is queued is told and counted, once', async () => {
  const { writer, store, clock } = writerBench()
  const counted: string[] = []
  const told: (string | undefined)[] = []
  const messages = new MessageService({
    reads: store,
    writer,
    clock,
    heads: new KnownHeads(),
    positions: new KnownPositions(),
    observer: { sendSettled: (outcome, ageMs) => void counted.push(`${outcome} after ${ageMs} ms`) },
  })
  await writer.close(0)
  const asker = { settled: ({ refusal }: { refusal: string | undefined }) => void told.push(refusal) }
  expect(messages.send('ann', { receiver_id: 'bob', content: 'late', id: undefined }, asker)).toBe(undefined)
  expect(counted).toEqual(['unavailable after 0 ms'])
  expect(told).toEqual(['unavailable'])
})
