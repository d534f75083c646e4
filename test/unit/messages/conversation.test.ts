import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressIn, conversationBetween } from '../../../src/messages/conversation.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { USER_ID_PATTERN } from '../../../src/protocol/limits.ts'

const userId = fc.stringMatching(USER_ID_PATTERN)

describe('a conversation', () => {
  test('is the same from either side, and another for every other pair', () => {
    fc.assert(
      fc.property(userId, userId, userId, userId, (a, b, c, d) => {
        const one = conversationBetween(a, b)
        expect(conversationBetween(b, a)).toEqual(one)
        expect(one.lo <= one.hi).toBe(true)
        expect([addressIn(one, a), addressIn(one, b)]).toEqual([b, a])
        const samePair = (a === c && b === d) || (a === d && b === c)
        expect(conversationBetween(c, d).key === one.key).toBe(samePair)
      }),
    )
  })

  test('orders its people by bytes, as PostgreSQL does', () => {
    fc.assert(
      fc.property(userId, userId, (a, b) => {
        const { lo, hi } = conversationBetween(a, b)
        expect(Buffer.compare(Buffer.from(lo), Buffer.from(hi))).toBeLessThanOrEqual(0)
      }),
    )
  })
})

describe('known heads', () => {
  const conversation = conversationBetween('ann', 'bob')

  test('only rise', () => {
    const heads = new KnownHeads()
    expect(heads.of(conversation)).toBe(0)
    heads.saw(conversation, 5)
    heads.saw(conversation, 3)
    expect(heads.of(conversation)).toBe(5)
    heads.saw(conversation, 6)
    expect(heads.of(conversationBetween('bob', 'ann'))).toBe(6)
    expect(heads.of(conversationBetween('ann', 'cid'))).toBe(0)
  })

  test('forget the first of more than 100,000 conversations', () => {
    const heads = new KnownHeads()
    heads.saw(conversation, 1)
    for (let index = 0; index < 99_999; index += 1) heads.saw(conversationBetween('cid', `${index}`), 1)
    expect(heads.of(conversation)).toBe(1)
    heads.saw(conversationBetween('cid', 'one-more'), 1)
    expect(heads.of(conversation)).toBe(0)
    expect(heads.of(conversationBetween('cid', '0'))).toBe(1)
  })
})
