import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { CODECS } from '../../../../src/gateway/wire/codec.ts'
import { repeatedName } from '../../../../src/gateway/wire/repeated-names.ts'

const repeatedIn = (text: string) => repeatedName(text, JSON.parse(text))

describe('equal names in one JSON object', () => {
  test.each([
    ['{"a":1,"a":2}', 'a'],
    ['{"a":1,"a":1}', 'a'],
    ['{"a":1,"b":2,"a":3}', 'a'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"a\\"b":1,"a\\"b":2}', 'a"b'],
    ['{ "a" : 1 , "a"\n\t:\r2 }', 'a'],
    ['{"":1,"":2}', ''],
    ['{"":0,"":0}', ''],
    ['{"a":100000,"":0,"":0}', ''],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
    ['[{"a":1},{"b":1,"b":2}]', 'b'],
    ['{"o":{"a":1,"a":2}}', 'a'],
    ['{"a":{"a":1},"a":2}', 'a'],
    // A text with a colon in it must not make up for the name that is lost.
    ['{"a":"::","a":1}', 'a'],
    ['{"a":":","a":":"}', 'a'],
    [`${'['.repeat(5000)}{"a":1,"a":2}${']'.repeat(5000)}`, 'a'],
  ])('are found in %s', (text, name) => {
    expect(repeatedIn(text)).toBe(name)
  })

  test.each([
    '{}',
    '[]',
    '7',
    '"a"',
    '{"a":1,"b":2}',
    '{"a":"a","b":"a"}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":1}]',
    '{"a":[{"a":1},{"a":2}],"b":{"a":1}}',
    '{"a":"\\"a\\":1,\\"a\\":2"}',
    '{"content":":) http://a:b@c:1"}',
    '{"a":"\\\\","b":"\\\\\\":"}',
    '{"__proto__":1,"constructor":2,"toString":3}',
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
  ])('are not seen in %s', (text) => {
    expect(repeatedIn(text)).toBeUndefined()
  })

  test('are found wherever they are, and nowhere else', () => {
    const name = fc.oneof(fc.constantFrom('a', 'b', 'a:', '"', '\\', 'é'), fc.string({ maxLength: 3 }))
    const space = fc.constantFrom('', ' ', '\n')
    // An object as it is written: names may be equal.
    const { object } = fc.letrec<{ object: Written; value: Written }>((tie) => ({
      object: fc.array(fc.tuple(name, space, tie('value')), { maxLength: 4 }).map((entries) => ({
        text: `{${entries.map(([key, gap, { text }]) => `${JSON.stringify(key)}${gap}:${gap}${text}`).join(',')}}`,
        repeats:
          new Set(entries.map(([key]) => key)).size < entries.length || entries.some(([, , value]) => value.repeats),
      })),
      value: fc.oneof(
        { maxDepth: 3 },
        fc.string({ maxLength: 5 }).map((text) => ({ text: JSON.stringify(text), repeats: false })),
        fc.constantFrom('":"', '7', 'null', '[]', '":,\\":"').map((text) => ({ text, repeats: false })),
        fc.array(tie('object'), { maxLength: 3 }).map((all) => ({
          text: `[${all.map(({ text }) => text).join(',')}]`,
          repeats: all.some(({ repeats }) => repeats),
        })),
        tie('object'),
      ),
    }))
    fc.assert(
      fc.property(object, ({ text, repeats }) => {
        expect(repeatedIn(text) !== undefined).toBe(repeats)
      }),
      { numRuns: 3000 },
    )
  })
})

interface Written {
  text: string
  repeats: boolean
}

describe('a frame with equal names', () => {
  const packr = new Packr({ useRecords: false, variableMapSize: true })
  const packed = (value: unknown) => packr.pack(value).toString('latin1')
  const mapOf = (...entries: readonly (readonly [unknown, unknown])[]) => {
    const content = entries.map(([key, value]) => packed(key) + packed(value)).join('')
    return [
      Buffer.from(String.fromCharCode(0x80 | entries.length) + content, 'latin1'),
      Buffer.from(`\xde\0${String.fromCharCode(entries.length)}${content}`, 'latin1'),
      Buffer.from(`\xdf\0\0\0${String.fromCharCode(entries.length)}${content}`, 'latin1'),
    ]
  }

  test('is named in JSON', () => {
    const frame = Buffer.from('{"type":"ping","ref":1,"ref":2}')
    expect(CODECS.json.decode(frame)?.repeated).toBe('ref')
  })

  test.each([
    [
      'of the common fields',
      [
        ['receiver_id', 'bob'],
        ['receiver_id', 'victim'],
      ],
      'receiver_id',
    ],
    [
      'with a text that is not ASCII',
      [
        ['content', 'hé'],
        ['receiver_id', 'bob'],
        ['receiver_id', 'eve'],
      ],
      'receiver_id',
    ],
    [
      'of no common field',
      [
        ['user_ids', ['a']],
        ['user_ids', ['b']],
      ],
      'user_ids',
    ],
    [
      'of which one is a number',
      [
        [1, true],
        ['1', false],
      ],
      '1',
    ],
  ] as const)('is named in MessagePack: %s', (_which, entries, name) => {
    for (const frame of mapOf(...entries)) expect(CODECS.msgpack.decode(frame)?.repeated).toBe(name)
  })

  test('is none where a text holds a name', () => {
    for (const frame of mapOf(['content', 'hé \xa4type'], ['type', 'send'], ['ref', 'ref'], ['receiver_id', 'ref'])) {
      const decoded = CODECS.msgpack.decode(frame)
      expect(decoded?.value).toMatchObject({ type: 'send', ref: 'ref' })
      expect(decoded?.repeated).toBeUndefined()
    }
  })
})
