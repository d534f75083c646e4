import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinkedQueue, type Place } from '../../../src/lib/linked-queue.ts'

test('is empty at first, and again when all have left', () => {
  const queue = new LinkedQueue<string>()
  expect([queue.size, queue.shift()]).toEqual([0, undefined])
  const place = queue.push('a')
  queue.remove(place)
  queue.remove(place)
  expect([queue.size, queue.shift()]).toEqual([0, undefined])
  queue.push('b')
  expect([queue.size, queue.shift(), queue.size]).toEqual([1, 'b', 0])
})

test('does nothing for one that has had its turn', () => {
  const queue = new LinkedQueue<string>()
  const place = queue.push('a')
  queue.push('b')
  queue.shift()
  queue.remove(place)
  expect([queue.size, queue.shift()]).toEqual([1, 'b'])
})

test('agrees with an array, whoever comes, has their turn or leaves', () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('push' as const), value: fc.nat() }),
    fc.record({ what: fc.constant('shift' as const), value: fc.nat() }),
    fc.record({ what: fc.constant('remove' as const), value: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new LinkedQueue<number>()
      let model: { place: Place<number>; value: number }[] = []
      for (const { what, value } of steps) {
        if (what === 'push') model.push({ place: queue.push(value), value })
        else if (what === 'shift') expect(queue.shift()).toBe(model.shift()?.value)
        else {
          const leaving = model[value % Math.max(1, model.length)]
          if (leaving) queue.remove(leaving.place)
          model = model.filter((one) => one !== leaving)
        }
        expect(queue.size).toBe(model.length)
      }
      for (const { value } of model) expect(queue.shift()).toBe(value)
      expect(queue.shift()).toBe(undefined)
    }),
  )
})
