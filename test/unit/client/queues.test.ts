import { expect, test } from 'vitest'
import { type Entry, queued } from '../../../src/client/outbox.ts'
import { Queues } from '../../../src/client/queues.ts'

test('a message is looked for in its own conversation alone, however many wait in others', () => {
  const queues = new Queues(() => undefined)
  let looks = 0
  for (let n = 1; n <= 1000; n += 1) {
    const entry: Entry = queued(`id ${n}`, `peer ${n % 100}`, 'text', { n, at: 0, owner: 'tab' })
    const counted = {
      get id() {
        looks += 1
        return entry.id
      },
    }
    queues.put(Object.create(entry, Object.getOwnPropertyDescriptors(counted)))
  }
  looks = 0
  const last = queues.find('id 999')
  expect([last?.with, queues.size]).toEqual(['peer 99', 1000])
  if (last) queues.remove({ id: 'id 999', with: last.with })
  expect([queues.find('id 999'), queues.size]).toEqual([undefined, 999])
  expect(looks).toBeLessThanOrEqual(20)
})
