import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { CODECS, type Codec } from '../../../../src/gateway/wire/codec.ts'
import { parseCommand } from '../../../../src/gateway/wire/commands.ts'
import { fieldNames, unpackFlat } from '../../../../src/gateway/wire/msgpack.ts'

const { json, msgpack } = CODECS
const plainPackr = new Packr({ useRecords: false })
const utf8 = new TextEncoder()
const bytes = (...values: number[]) => Uint8Array.from(values)
const packed = (value: unknown) => new Uint8Array(plainPackr.pack(value))
const GOOD = packed({ type: 'ping', ref: 7 })

/** What a connection does with a frame: a command, a refusal, or no frame at all. Never a throw, and never half a value. */
function take(codec: Codec, frame: Uint8Array): 'command' | 'refusal' | 'undecodable' {
  const decoded = codec.decode(frame)
  if (!decoded) return 'undecodable'
  for (const implicitSend of [false, true]) {
    const parsed = parseCommand(decoded.value, { maxContentBytes: 16_384, implicitSend })
    const said = parsed.ok ? parsed.command.type : parsed.refusal.code
    if (typeof said !== 'string') expect.fail(`neither a type nor a code: ${said}`)
  }
  return parseCommand(decoded.value, { maxContentBytes: 16_384, implicitSend: false }).ok ? 'command' : 'refusal'
}

/** A decoder that a hostile frame left in a bad state would show it on the next good one. */
function stillDecodes(): void {
  const decoded = JSON.stringify(msgpack.decode(GOOD))
  if (decoded !== '{"value":{"type":"ping","ref":7}}') expect.fail(`a good frame is taken for ${decoded}`)
}

const command = {
  type: 'send',
  receiver_id: 'bob',
  content: 'hé 😀 \\ "quoted"',
  id: '0190b6f1-0000-7000-8000-000000000000',
  ref: 'r1',
}

test('a name that stands there twice is not looked for among more names than any command has', () => {
  const names = Array.from({ length: 16 }, (_, index) => `a${index}`)
  const twice = (all: readonly string[]) => {
    // A map of more than 15 entries begins with their number in two bytes; here is one more.
    const map = packed(Object.fromEntries(all.map((name) => [name, 1])))
    return Uint8Array.from([0xde, 0, all.length + 1, ...map.subarray(3), 0xa2, ...utf8.encode('a0'), 1])
  }
  expect(msgpack.decode(twice(names))?.repeated).toBe('a0')
  expect(msgpack.decode(twice([...names, 'b0']))).toMatchObject({ value: { a0: 1 }, repeated: undefined })
})

describe.each([json, msgpack])('decoding $name is total', (codec) => {
  test('for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (frame) => {
        take(codec, frame)
        stillDecodes()
      }),
      { numRuns: 3000 },
    )
  })

  test('for any value', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: false, maxDepth: 4 }), (value) => {
        const text = codec === json ? JSON.stringify(value) : undefined
        take(codec, text === undefined ? packed(value) : utf8.encode(text))
        stillDecodes()
      }),
      { numRuns: 500 },
    )
  })

  test('for a command with any fields', () => {
    const field = fc.constantFrom('type', 'receiver_id', 'content', 'id', 'ref', 'with', 'seq', 'limit', 'heads', 'x')
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('send', 'ack', 'sync', 'bob', 1, 0, -1, 1.5, 2 ** 53))
    fc.assert(
      fc.property(fc.dictionary(field, value), (frame) => {
        take(codec, codec === json ? utf8.encode(JSON.stringify(frame)) : packed(frame))
      }),
      { numRuns: 1000 },
    )
  })

  test('for a command cut off at every byte', () => {
    const whole = codec === json ? utf8.encode(JSON.stringify(command)) : packed(command)
    expect(take(codec, whole)).toBe('command')
    for (let length = 0; length < whole.length; length += 1) {
      expect(take(codec, whole.subarray(0, length))).not.toBe('command')
      stillDecodes()
    }
  })

  test('for a command with every byte changed', () => {
    const whole = codec === json ? utf8.encode(JSON.stringify(command)) : packed(command)
    for (let index = 0; index < whole.length; index += 1) {
      for (const change of [0x01, 0x20, 0x80, 0xff]) {
        const changed = Uint8Array.from(whole)
        changed[index] = (changed[index] ?? 0) ^ change
        take(codec, changed)
        stillDecodes()
      }
    }
  })

  test.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'and a field named %s reaches no prototype',
    (key) => {
      for (const type of ['"type":"send",', '']) {
        const text = `{${type}"receiver_id":"bob","content":"x","${key}":{"polluted":1}}`
        const frame = codec === json ? utf8.encode(text) : packed(new Map(Object.entries(JSON.parse(text))))
        const withProto = codec === json ? frame : Uint8Array.from([...frame])
        expect(take(codec, withProto)).not.toBe('command')
      }
      expect(Reflect.get({}, 'polluted')).toBeUndefined()
      expect(Reflect.get(Object, 'polluted')).toBeUndefined()
    },
  )
})

describe('JSON', () => {
  test.each<[string, string | Uint8Array]>([
    ['nothing', ''],
    ['white space', '  '],
    ['half a value', '{"type":'],
    ['two values', '{}{}'],
    ['a comment', '{} //'],
    ['64 KiB of [', '['.repeat(65_536)],
    ['64 KiB of {', '{'.repeat(65_536)],
    ['64 KiB of {"a":', '{"a":'.repeat(13_000)],
    ['a byte that is no UTF-8', bytes(0x22, 0xff, 0x22)],
    ['an overlong UTF-8 sequence', bytes(0x22, 0xc0, 0x80, 0x22)],
    ['a surrogate in UTF-8', bytes(0x22, 0xed, 0xa0, 0x80, 0x22)],
    ['half a character', bytes(0x22, 0xf0, 0x9f, 0x98, 0x22)],
  ])('knows %s for no frame', (_name, frame) => {
    expect(take(json, typeof frame === 'string' ? utf8.encode(frame) : frame)).toBe('undecodable')
  })

  test.each([
    '[]',
    'null',
    '1',
    '"send"',
    'true',
    '[{"type":"ping"}]',
    '{}',
    `${'['.repeat(32_000)}${']'.repeat(32_000)}`,
    `{"type":"ping","ref":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
    '{"type":"ping","ref":1e999}',
    '{"type":"ping","type":"nonsense"}',
  ])('refuses %.40s as a command', (text) => {
    expect(take(json, utf8.encode(text))).toBe('refusal')
  })
})

describe('MessagePack', () => {
  const EXTENSIONS = [0x62, 0x65, 0x69, 0x70, 0x73, 0x74, 0x78, 0xff, 0x00, 0x01, 0x14, 0x42, 0x52, 0x72]

  test.each(EXTENSIONS)('refuses an extension of type 0x%s in every size, alone and as a field', (type) => {
    const payload = [0x01, 0xa1, 0x61, 0x02, 0x81, 0xa1, 0x62, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0]
    const fixed = [1, 2, 4, 8, 16].map((size, index) => bytes(0xd4 + index, type, ...payload.slice(0, size)))
    const sized = [0, 1, 3, 12, 13].map((size) => bytes(0xc7, size, type, ...payload.slice(0, size)))
    for (const extension of [...fixed, ...sized]) {
      // {"type": "ping", "ref": <extension>}
      const field = bytes(0x82, 0xa4, ...utf8.encode('type'), 0xa4, ...utf8.encode('ping'), 0xa3, ...utf8.encode('ref'))
      expect(take(msgpack, extension)).not.toBe('command')
      expect(take(msgpack, bytes(...field, ...extension))).not.toBe('command')
      stillDecodes()
    }
  })

  test.each<[string, Uint8Array]>([
    ['nothing', bytes()],
    ['the byte that is never used', bytes(0xc1)],
    ['5000 nested arrays', new Uint8Array(5000).fill(0x91)],
    ['64 KiB of nested arrays', new Uint8Array(65_536).fill(0x91)],
    ['64 KiB of nested maps', new Uint8Array(65_536).fill(0x81)],
    ['an array of 2^32 - 1 elements', bytes(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['a map of 2^32 - 1 entries', bytes(0xdf, 0xff, 0xff, 0xff, 0xff)],
    ['a text of 2^32 - 1 bytes', bytes(0xdb, 0xff, 0xff, 0xff, 0xff)],
    ['bytes of 2^32 - 1', bytes(0xc6, 0xff, 0xff, 0xff, 0xff)],
    ['an extension of 2^32 - 1 bytes', bytes(0xc9, 0xff, 0xff, 0xff, 0xff, 0x01)],
    ['two values', bytes(0x80, 0x80)],
    ['bytes instead of text', bytes(0xc4, 0x01, 0x61)],
    ['a number that is none', bytes(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0)],
    ['infinity', bytes(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0)],
    ['17 nested arrays', bytes(...Array<number>(17).fill(0x91), 0x01)],
    ['a date', packed(new Date(0))],
    ['a set', new Uint8Array(new Packr({ moreTypes: true }).pack(new Set([1])))],
  ])('knows %s for no frame', (_name, frame) => {
    expect(take(msgpack, frame)).toBe('undecodable')
    stillDecodes()
  })

  test('reads a record as the map it stands for, and later frames without it', () => {
    const record = new Uint8Array(new Packr({ useRecords: true }).pack({ type: 'ping' }))
    const numbers = Array.from({ length: 128 }, (_, index) => index)
    for (let length = 1; length <= record.length; length += 1) {
      take(msgpack, record.subarray(0, length))
      expect(msgpack.decode(packed(numbers))).toEqual({ value: numbers })
    }
    expect(msgpack.decode(record)).toEqual({ value: { type: 'ping' } })
  })

  test('takes maps and texts in every length of header', () => {
    const text = (value: string) => [...utf8.encode(value)]
    const type = [0xd9, 4, ...text('type')]
    const ping = [0xda, 0, 4, ...text('ping')]
    expect(take(msgpack, bytes(0xde, 0, 1, ...type, ...ping))).toBe('command')
    expect(take(msgpack, bytes(0xdf, 0, 0, 0, 1, 0xdb, 0, 0, 0, 4, ...text('type'), ...ping))).toBe('command')
  })

  describe('the short way for flat maps', () => {
    const NAMES = ['type', 'receiver_id', 'content', 'ref']
    const flat = (frame: Uint8Array) => unpackFlat(frame, fieldNames(NAMES))
    const short = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 300 }),
      fc.nat(),
      fc.constantFrom(0, 127, 128, 255, 256, 2 ** 32 - 1),
    )
    const maps = fc.dictionary(fc.constantFrom(...NAMES), short)

    test('reads what it is made for', () => {
      const shortest = new Packr({ useRecords: false, variableMapSize: true })
      for (const packr of [plainPackr, shortest]) {
        fc.assert(
          fc.property(maps, (map) => {
            expect(flat(new Uint8Array(packr.pack(map)))).toEqual(map)
          }),
        )
      }
      const long = { content: 'x'.repeat(300) }
      expect(flat(packed(long))).toEqual(long)
    })

    test('reads nothing otherwise than the library does, whatever the bytes', () => {
      const library = new Packr({ useRecords: false, int64AsType: 'number' })
      const agrees = (frame: Uint8Array) => {
        const read = flat(frame)
        if (read) expect(library.unpack(frame)).toEqual(read)
      }
      fc.assert(
        fc.property(maps, fc.nat(400), fc.nat(255), (map, place, byte) => {
          const frame = packed(map)
          frame[place % frame.length] = byte
          agrees(frame)
          agrees(frame.subarray(0, place))
        }),
        { numRuns: 3000 },
      )
      fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), agrees), { numRuns: 3000 })
    })

    test.each<[string, Uint8Array]>([
      ['another field', packed({ type: 'send', colour: 'red' })],
      ['a field twice', bytes(0x82, 0xa3, ...utf8.encode('ref'), 1, 0xa3, ...utf8.encode('ref'), 2)],
      ['a text beyond ASCII', packed({ content: 'é' })],
      ['a number below 0', packed({ ref: -1 })],
      ['a fraction', packed({ ref: 1.5 })],
      ['a list', packed({ ref: [] })],
      ['a byte too many', bytes(...packed({ ref: 1 }), 0)],
      ['a byte too few', packed({ content: 'abc' }).subarray(0, -1)],
    ])('leaves %s to the library', (_name, frame) => {
      expect(flat(frame)).toBeUndefined()
    })
  })

  test('reads integers of 64 bits as numbers', () => {
    const frame = bytes(0x81, 0xa1, 0x61, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0)
    expect(msgpack.decode(frame)).toEqual({ value: { a: 2 ** 32 } })
  })

  test('keeps nothing of the memory it was given', () => {
    const frame = packed({ type: 'send', receiver_id: 'bob', content: 'a text of some length, more than thirty-one' })
    const decoded = msgpack.decode(frame)
    const before = structuredClone(decoded)
    frame.fill(0)
    expect(decoded).toEqual(before)
  })
})
