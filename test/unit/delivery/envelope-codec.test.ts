import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Envelope } from '../../../src/delivery/broker.ts'
import { decodeEnvelopes, encodeEnvelopes, epochOf } from '../../../src/delivery/envelope-codec.ts'

const userId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,30}$/)
// What the protocol writes is JSON without whitespace; a text may hold any character.
const json = fc
  .record({ type: fc.string(), content: fc.string({ unit: 'binary' }) })
  .map((event) => JSON.stringify(event))
const place = fc.record({ seq: fc.integer({ min: 1, max: 2 ** 40 }), sender_id: userId, receiver_id: userId })
const envelope: fc.Arbitrary<Envelope> = fc.oneof(fc.record({ json, message: place }), fc.record({ json }))

test('what one instance encodes another decodes, and the publisher ignores', () => {
  fc.assert(
    fc.property(
      fc.array(envelope),
      fc.uuid(),
      fc.uuid(),
      fc.constantFrom('', 'now'),
      (envelopes, publisher, reader, epoch) => {
        fc.pre(publisher !== reader)
        const text = encodeEnvelopes(publisher, envelopes, epoch)
        expect(decodeEnvelopes(reader, text)).toEqual(envelopes)
        if (envelopes.length > 0) expect(decodeEnvelopes(publisher, text)).toBeUndefined()
      },
    ),
    { numRuns: 1000 },
  )
})

test.each([
  ['U+2028', '\u2028'],
  ['U+2029', '\u2029'],
  ['U+0085', '\u0085'],
  ['a carriage return', '\r'],
  ['a vertical tab', '\v'],
  ['a form feed', '\f'],
])('a frame is not cut at %s, which JSON leaves as it is or another encoder may', (_, character) => {
  const json = `{"content":"before${character}after"}`
  const message = { seq: 7, sender_id: 'bob', receiver_id: 'ann' }
  for (const one of [{ json }, { json, message }]) {
    expect(decodeEnvelopes('reader', encodeEnvelopes('publisher', [one, one]))).toEqual([one, one])
  }
})

test('the epoch of the publisher goes along, unless it has none or is of an earlier version', () => {
  expect(epochOf(encodeEnvelopes('publisher', [{ json: '{"a": 1}' }], 'now'))).toBe('now')
  expect(epochOf(encodeEnvelopes('publisher', [{ json: '{"a": 1}' }]))).toBeUndefined()
  expect(epochOf('publisher\n7 ann bob {}')).toBeUndefined()
})

test('only the whole name makes a publisher', () => {
  const text = encodeEnvelopes('instance10', [{ json: '{}' }])
  expect(decodeEnvelopes('instance1', text)).toEqual([{ json: '{}' }])
})

test('lines of a later version, and lines that are none, are left out', () => {
  const text = 'other\n! {"new":1}\n= {"a":1}\n\n12 ann\n7 ann bob {"b":2}\n-1 ann bob {}\n'
  expect(decodeEnvelopes('me', text)).toEqual([
    { json: '{"a":1}' },
    { json: '{"b":2}', message: { seq: 7, sender_id: 'ann', receiver_id: 'bob' } },
  ])
})

test('what can be no frame, or has no number to go by, is left out', () => {
  const text =
    'other\n= offline\n= {"a":\n= [1]}\n7 ann bob x}\n7 ann bob {"b":\n99999999999999999999 ann bob {"b":2}\n= {"a":1}'
  expect(decodeEnvelopes('me', text)).toEqual([{ json: '{"a":1}' }])
})

test('no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => void decodeEnvelopes('me', text)),
    { numRuns: 500 },
  )
})
