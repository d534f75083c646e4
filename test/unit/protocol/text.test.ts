import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contentFault } from '../../../src/protocol/text.ts'

describe('the largest text', () => {
  // One character of each length in UTF-8.
  describe.each([
    ['a', 1],
    ['é', 2],
    ['€', 3],
    ['😀', 4],
  ])('of %s, %i bytes each', (character, size) => {
    test.each([1, 7, 100, 4096])('%i times, is taken at its limit and above, refused below', (count) => {
      const text = character.repeat(count)
      const bytes = size * count
      expect(contentFault(text, bytes + 1)).toBeUndefined()
      expect(contentFault(text, bytes)).toBeUndefined()
      expect(contentFault(text, bytes - 1)).toBe('payload_too_large')
    })
  })

  test('is measured in bytes of UTF-8, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.nat(60), (text, maxBytes) => {
        const isTooLarge = Buffer.byteLength(text, 'utf8') > maxBytes
        expect(contentFault(text, maxBytes) === 'payload_too_large').toBe(isTooLarge)
      }),
      { numRuns: 1000 },
    )
  })
})

test.each([
  ['nothing', '', 'invalid_request'],
  ['U+0000', '\0', 'invalid_text'],
  ['U+0000 at the end', 'abc\0', 'invalid_text'],
  ['a lone high surrogate', 'a\ud83d', 'invalid_text'],
  ['a lone low surrogate', '\ude00a', 'invalid_text'],
  ['surrogates the wrong way round', '\ude00\ud83d', 'invalid_text'],
])('refuses %s', (_name, text, code) => {
  expect(contentFault(text, 100)).toBe(code)
})

test.each([' ', '\n', '\\.', '\u0001', '\ufeff', '\uffff', '👩‍👩‍👧‍👦'])('takes %j', (text) => {
  expect(contentFault(text, 100)).toBeUndefined()
})
