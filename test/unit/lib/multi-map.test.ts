import { expect, test } from 'vitest'
import { MultiMap } from '../../../src/lib/multi-map.ts'

test('a key has the values that were given to it and not taken away, each once', () => {
  const map = new MultiMap<string, object>()
  const [one, two] = [{}, {}]
  map.add('a', one)
  map.add('a', one)
  map.add('b', one)
  expect([map.of('a'), map.of('b'), map.of('c')]).toEqual([[one], [one], []])
  map.add('a', two)
  const before = map.of('a')
  expect(before).toEqual([one, two])
  map.delete('a', one)
  map.delete('b', two)
  expect([map.of('a'), map.of('b'), before]).toEqual([[two], [one], [one, two]])
  map.delete('a', two)
  map.delete('b', one)
  map.delete('b', one)
  expect([map.of('a'), map.size]).toEqual([[], 0])
})
