import { expect, test } from 'vitest'
import { ImplicitAcks } from '../../../src/gateway/implicit-acks.ts'

function setUp() {
  const said: [string, number][] = []
  return { said, acks: new ImplicitAcks((peer, seq) => void said.push([peer, seq])) }
}

test('what came late from below takes nothing back: the highest that was written is acknowledged, and once', () => {
  const { acks, said } = setUp()
  acks.written('bob', 5)
  acks.written('bob', 4)
  acks.written('cid', 1)
  acks.emptied()
  acks.emptied()
  expect(said).toEqual([
    ['bob', 5],
    ['cid', 1],
  ])
})

test('what was dropped is not acknowledged, nor what is above it', () => {
  const { acks, said } = setUp()
  for (const seq of [1, 2, 3]) acks.written('bob', seq)
  acks.dropped('bob', 2)
  acks.dropped('bob', 3)
  acks.written('cid', 1)
  acks.dropped('cid', 1)
  acks.emptied()
  expect(said).toEqual([['bob', 1]])
})
