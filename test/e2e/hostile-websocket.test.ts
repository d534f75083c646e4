// Frames by the byte, after the sections of the Autobahn test suite. A case says what comes back, in order, until a last
// good command is answered or the connection ends: our replies, our close codes, or an end without any (a client sees 1006).
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { frame, OPCODES, pingPacked, pingText, RawWebSocket, shortened } from '../support/raw-websocket.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const services = useServices()
const KIB = 1024
const { continuation, text, binary, close, ping, pong } = OPCODES
let database: TestDatabase
let service: ServiceProcess
let canary: SocketClient

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({ POSTGRES_DSN: database.dsn })
  canary = await SocketClient.connect(service, 'canary')
})
// The oracle of every case: somebody else is served as if nothing had happened.
afterEach(async () => {
  expect(await canary.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
  expect(service.hasExited).toBe(false)
})
afterAll(async () => {
  expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  await database.drop()
})

type Case = readonly [name: string, chunks: readonly Buffer[], outcome: readonly string[]]

const LAST = 'last'
/** The connection is as good as before. */
const lives = (...events: string[]): string[] => [...events, `pong ${LAST}`]
/** uWebSockets ends the connection without a close frame. */
const CUT = ['end']
/** The good command before may have its answer on the way, or lose it: the client resumes. */
const CUT_AFTER = ['answer?', 'end']
const closes = (code: number): string[] => [`close ${code}`, 'end']

const say = (ref: string): Buffer => frame({ opcode: text, payload: pingText(ref) })
const part = (opcode: number, payload: string | Uint8Array, fin = false): Buffer => frame({ opcode, payload, fin })
const octets = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.from([byte]))
const closeBody = (code: number, reason: string | Buffer = ''): Buffer => {
  const field = Buffer.alloc(2)
  field.writeUInt16BE(code)
  return Buffer.concat([field, Buffer.from(reason)])
}

async function expectOutcome([, chunks, outcome]: Case, packed = false): Promise<void> {
  const events = await outcomeOf(chunks, packed)
  if (outcome !== CUT_AFTER) return expect(events).toEqual(outcome)
  expect(events.filter((event) => !/^pong (a|abc)$/.test(event))).toEqual(CUT)
}

async function outcomeOf(chunks: readonly Buffer[], packed = false): Promise<readonly string[]> {
  const raw = await RawWebSocket.connect(service, 'raw', { packed })
  const before = raw.events.length
  const last = packed ? frame({ opcode: binary, payload: pingPacked(LAST) }) : say(LAST)
  await raw.write(...chunks, last)
  const events = (await raw.until((event) => event === `pong ${LAST}`)).slice(before)
  raw.reset()
  return events
}

/** A `ping` command of exactly so many bytes, and what answers it. */
function sized(bytes: number): { payload: string; answer: string } {
  const ref = 'x'.repeat(bytes - pingText('').length)
  return { payload: pingText(ref), answer: `pong ${shortened(ref)}` }
}
function packedSized(bytes: number): { payload: Buffer; answer: string } {
  const overhead = [1, 2, 3, 5].map((head) => pingPacked('').length - 1 + head)
  const lengths = overhead.map((one) => bytes - one)
  const ref = lengths.map((length) => 'x'.repeat(Math.max(0, length))).find((one) => pingPacked(one).length === bytes)
  if (ref === undefined) throw new Error(`no MessagePack text makes ${bytes} bytes`)
  return { payload: pingPacked(ref), answer: `pong ${shortened(ref)}` }
}
const fragments = (payload: string, size: number, first: number = text): Buffer[] => {
  const parts = Array.from({ length: Math.ceil(payload.length / size) }, (_, index) =>
    payload.slice(index * size, (index + 1) * size),
  )
  return parts.map((one, index) => part(index === 0 ? first : continuation, one, index === parts.length - 1))
}

const SIZES = [25, 124, 125, 126, 127, 128, 129, 1000, 65_534, 65_535, 65_536]

describe('1, 9: sizes', () => {
  test.each<Case>([
    ...SIZES.map((bytes): Case => {
      const { payload, answer } = sized(bytes)
      return [`text of ${bytes} bytes`, [frame({ opcode: text, payload })], lives(answer)]
    }),
    ['text of 0 bytes', [frame({ opcode: text })], closes(1007)],
    ...[65_537, 70_000, 2 * 65_536].map(
      (bytes): Case => [
        `text of ${bytes} bytes`,
        [frame({ opcode: text, payload: sized(bytes).payload })],
        closes(1009),
      ],
    ),
    ['text of 128 KiB + 1', [frame({ opcode: text, payload: 'x'.repeat(128 * KIB + 1) })], CUT],
    ['text of 4 MiB', [frame({ opcode: text, payload: 'x'.repeat(4096 * KIB) })], CUT],
    [
      '64 KiB octet after octet',
      octets(frame({ opcode: text, payload: sized(2000).payload })),
      lives(sized(2000).answer),
    ],
    ...[1, 7, 64, 256, 1300, 4096, 16_384, 65_535].map(
      (size): Case => [
        `64 KiB in fragments of ${size}`,
        [Buffer.concat(fragments(sized(65_536).payload, size))],
        lives(sized(65_536).answer),
      ],
    ),
    ['64 KiB + 1 in fragments', [Buffer.concat(fragments(sized(65_537).payload, 1000))], closes(1009)],
    ['1 MiB in fragments', [Buffer.concat(fragments('x'.repeat(KIB * KIB), 1000))], CUT],
    ['1 MiB in fragments without end', [Buffer.concat(fragments('x'.repeat(KIB * KIB), 1000).slice(0, -1))], CUT],
    ['10,000 commands at once', [Buffer.concat(Array.from({ length: 10_000 }, () => part(pong, '', true)))], lives()],
  ])('%s', (...one) => expectOutcome(one))

  test.each<Case>([
    ...[25, 126, 127, 65_535, 65_536].map((bytes): Case => {
      const { payload, answer } = packedSized(bytes)
      return [`binary of ${bytes} bytes`, [frame({ opcode: binary, payload })], lives(answer)]
    }),
    ['binary of 0 bytes', [frame({ opcode: binary })], closes(1007)],
    ['binary of 64 KiB + 1', [frame({ opcode: binary, payload: packedSized(65_537).payload })], closes(1009)],
    ['binary of 128 KiB + 1', [frame({ opcode: binary, payload: Buffer.alloc(128 * KIB + 1) })], CUT],
    [
      'binary in two fragments with a ping between',
      [
        part(binary, pingPacked('ab').subarray(0, 3)),
        frame({ opcode: ping }),
        part(continuation, pingPacked('ab').subarray(3), true),
      ],
      lives('PONG ', 'pong ab'),
    ],
    ['text where binary is agreed', [say('a')], closes(1003)],
  ])('MessagePack: %s', (...one) => expectOutcome(one, true))
})

describe('lengths', () => {
  const payload = pingText('a')
  test.each<Case>([
    ['a short one in 16 bits', [frame({ opcode: text, payload, lengthBits: 16 })], lives('pong a')],
    ['a short one in 64 bits', [frame({ opcode: text, payload, lengthBits: 64 })], lives('pong a')],
    [
      'a middle one in 64 bits',
      [frame({ opcode: text, payload: sized(300).payload, lengthBits: 64 })],
      lives(sized(300).answer),
    ],
    ['a control frame in 16 bits', [frame({ opcode: ping, payload: 'a', lengthBits: 16 })], CUT],
    ['a control frame in 64 bits', [frame({ opcode: ping, payload: 'a', lengthBits: 64 })], CUT],
    ...[2n ** 64n - 1n, 2n ** 63n, 2n ** 63n - 1n, 2n ** 53n, 2n ** 32n, 2n ** 31n, 2n ** 32n - 1n, 131_073n].map(
      (claims): Case => [`one of ${claims}`, [frame({ opcode: text, payload, claims })], CUT],
    ),
  ])('%s', (...one) => expectOutcome(one))
})

describe('2: pings and pongs', () => {
  const hello = frame({ opcode: ping, payload: 'hello' })
  const full = 'z'.repeat(125)
  test.each<Case>([
    ['an empty ping', [frame({ opcode: ping })], lives('PONG ')],
    ['a ping with text', [hello], lives('PONG hello')],
    ['a ping with bytes', [frame({ opcode: ping, payload: Buffer.from([0, 0xff, 0xfe]) })], lives('PONG \0ÿþ')],
    ['a ping of 125 bytes', [frame({ opcode: ping, payload: full })], lives(`PONG ${full}`)],
    ['a ping of 126 bytes', [frame({ opcode: ping, payload: `${full}z` })], CUT],
    ['a ping of 64 KiB', [frame({ opcode: ping, payload: full.repeat(520) })], CUT],
    ['a ping octet after octet', octets(frame({ opcode: ping, payload: full })), lives(`PONG ${full}`)],
    ['a pong nobody asked for', [frame({ opcode: pong })], lives()],
    ['a pong with a payload', [frame({ opcode: pong, payload: full })], lives()],
    ['a pong of 126 bytes', [frame({ opcode: pong, payload: `${full}z` })], CUT],
    ['a pong, then a ping', [frame({ opcode: pong, payload: 'no' }), hello], lives('PONG hello')],
    [
      '100 pings at once',
      [Buffer.concat(Array.from({ length: 100 }, (_, turn) => frame({ opcode: ping, payload: `${turn}` })))],
      lives(...Array.from({ length: 100 }, (_, turn) => `PONG ${turn}`)),
    ],
  ])('%s', (...one) => expectOutcome(one))
})

describe('3, 12, 13: reserved bits; compression was never agreed on', () => {
  const kinds = Object.entries({ text, binary, close, ping, pong, continuation })
  test.each<Case>([
    ...kinds.flatMap(([name, opcode]) =>
      [1, 2, 3, 4, 5, 6, 7].map((rsv): Case => [`${name} with ${rsv}`, [frame({ opcode, rsv, payload: 'a' })], CUT]),
    ),
    ['4 octet after octet', octets(frame({ opcode: text, rsv: 4, payload: pingText('a') })), CUT],
    ['4 after a good frame', [say('a'), frame({ opcode: text, rsv: 4, payload: pingText('b') })], CUT_AFTER],
  ])('%s', (...one) => expectOutcome(one))

  test('permessage-deflate is not taken up, however it is offered', async () => {
    for (const offer of [
      'permessage-deflate',
      'permessage-deflate; client_max_window_bits=15, x-webkit-deflate-frame',
    ]) {
      const raw = await RawWebSocket.connect(service, 'raw', { headers: { 'Sec-WebSocket-Extensions': offer } })
      expect(raw.head).toMatch(/^HTTP\/1\.1 101 /)
      expect(raw.head).not.toMatch(/^sec-websocket-extensions:/im)
      raw.reset()
    }
  })
})

describe('4: reserved opcodes', () => {
  const reserved = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
  test.each<Case>([
    ...reserved.map((opcode): Case => [`${opcode}`, [frame({ opcode })], CUT]),
    ...reserved.map((opcode): Case => [`${opcode} with a payload`, [frame({ opcode, payload: 'a' })], CUT]),
    ...[3, 11].map((opcode): Case => [`${opcode} after a good frame`, [say('a'), frame({ opcode })], CUT_AFTER]),
    ...[3, 11].map((opcode): Case => [`${opcode} octet after octet`, octets(frame({ opcode, payload: 'a' })), CUT]),
    ...[3, 11].map((opcode): Case => [`${opcode} among fragments`, [part(text, '{'), frame({ opcode })], CUT]),
  ])('%s', (...one) => expectOutcome(one))
})

describe('5: fragments', () => {
  const whole = pingText('abc')
  const [head, middle, tail] = [whole.slice(0, 5), whole.slice(5, 12), whole.slice(12)]
  test.each<Case>([
    ['a ping in two', [part(ping, 'a'), part(continuation, 'b', true)], CUT],
    ['a pong in two', [part(pong, 'a'), part(continuation, 'b', true)], CUT],
    ['a close in two', [part(close, closeBody(1000)), part(continuation, 'b', true)], CUT],
    ['a text in two', [part(text, head), part(continuation, middle + tail, true)], lives('pong abc')],
    [
      'a text in three, at once',
      [Buffer.concat([part(text, head), part(continuation, middle), part(continuation, tail, true)])],
      lives('pong abc'),
    ],
    [
      'a text in three, octet after octet',
      octets(Buffer.concat([part(text, head), part(continuation, middle), part(continuation, tail, true)])),
      lives('pong abc'),
    ],
    [
      'with a ping between',
      [part(text, head), frame({ opcode: ping, payload: 'p' }), part(continuation, middle + tail, true)],
      lives('PONG p', 'pong abc'),
    ],
    [
      'with pongs between',
      [part(text, head), frame({ opcode: pong }), frame({ opcode: pong }), part(continuation, middle + tail, true)],
      lives('pong abc'),
    ],
    [
      'with a ping between all of them, octet after octet',
      octets(
        Buffer.concat([
          part(text, head),
          frame({ opcode: ping, payload: '1' }),
          part(continuation, middle),
          frame({ opcode: ping, payload: '2' }),
          part(continuation, tail, true),
        ]),
      ),
      lives('PONG 1', 'PONG 2', 'pong abc'),
    ],
    ['empty ones', [part(text, ''), part(continuation, ''), part(continuation, whole, true)], lives('pong abc')],
    ['an empty last one', [part(text, whole), part(continuation, '', true)], lives('pong abc')],
    ['nothing but empty ones', [part(text, ''), part(continuation, ''), part(continuation, '', true)], closes(1007)],
    ['a continuation of nothing', [part(continuation, whole, true)], CUT],
    ['a continuation of nothing that goes on', [part(continuation, whole)], CUT],
    ['a continuation after a whole text', [say('a'), part(continuation, 'b', true)], CUT_AFTER],
    [
      'a continuation after an ended message',
      [part(text, head), part(continuation, middle + tail, true), part(continuation, 'x', true)],
      CUT_AFTER,
    ],
    ['a text within a text', [part(text, head), say('a')], CUT],
    ['a text that starts within a text', [part(text, head), part(text, middle), part(continuation, tail, true)], CUT],
    // uWebSockets refuses a text there, and takes a binary for a message of its own.
    ['a binary within a text', [part(text, head), part(binary, middle, true)], closes(1003)],
    [
      'a binary message in fragments where text is agreed',
      [part(binary, head), part(continuation, middle, true)],
      closes(1003),
    ],
    ['a close within a text', [part(text, head), frame({ opcode: close, payload: closeBody(1000) })], closes(1000)],
    ['a ping of 126 bytes within a text', [part(text, head), frame({ opcode: ping, payload: 'x'.repeat(126) })], CUT],
    ['60,000 of one byte', [Buffer.concat(fragments(sized(60_000).payload, 1))], lives(sized(60_000).answer)],
    [
      '100,000 empty ones',
      [
        Buffer.concat([
          part(text, head),
          ...Array.from({ length: 100_000 }, () => part(continuation, '')),
          part(continuation, middle + tail, true),
        ]),
      ],
      lives('pong abc'),
    ],
  ])('%s', (...one) => expectOutcome(one))
})

describe('6: UTF-8', () => {
  const quoted = (bytes: readonly number[]): Buffer =>
    Buffer.concat([Buffer.from('{"type":"ping","ref":"'), Buffer.from(bytes), Buffer.from('"}')])
  const good = [
    'κόσμε',
    '\u{80}',
    '\u{7ff}',
    '\u{800}',
    '\u{ffff}',
    '\u{10000}',
    '\u{10ffff}',
    '\ud7ff',
    '\ue000',
    '\ufffd',
    '\ufffe',
    '\ufeff',
  ]
  const bad: Readonly<Record<string, readonly number[]>> = {
    'a lone continuation': [0x80],
    'the last continuation': [0xbf],
    'continuations only': [0x80, 0xbf, 0x80, 0xbf],
    'two bytes without the second': [0xc3],
    'three bytes without the third': [0xe2, 0x82],
    'four bytes without the fourth': [0xf0, 0x9f, 0x98],
    'two bytes, the second wrong': [0xc3, 0x28],
    'three bytes, the second wrong': [0xe2, 0x28, 0xa1],
    'four bytes, the third wrong': [0xf0, 0x9f, 0x28, 0x80],
    'an overlong slash in two': [0xc0, 0xaf],
    'an overlong slash in three': [0xe0, 0x80, 0xaf],
    'an overlong slash in four': [0xf0, 0x80, 0x80, 0xaf],
    'an overlong NUL': [0xc0, 0x80],
    'the largest overlong of three': [0xe0, 0x9f, 0xbf],
    'the largest overlong of four': [0xf0, 0x8f, 0xbf, 0xbf],
    'the first surrogate': [0xed, 0xa0, 0x80],
    'the last surrogate': [0xed, 0xbf, 0xbf],
    'a pair of surrogates': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
    'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
    'five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
    'six bytes': [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
    fe: [0xfe],
    ff: [0xff],
  }
  const spread = quoted([...Buffer.from('aé€😀')])
  const cuts = Array.from({ length: 10 }, (_, index) => 22 + index)

  test.each<Case>([
    ...good.map((ref): Case => [`good: ${JSON.stringify(ref)}`, [say(ref)], lives(`pong ${ref}`)]),
    ...cuts.map(
      (cut): Case => [
        `good, in fragments cut at byte ${cut}`,
        [part(text, spread.subarray(0, cut)), part(continuation, spread.subarray(cut), true)],
        lives('pong aé€😀'),
      ],
    ),
    ['good, octet after octet', octets(frame({ opcode: text, payload: spread })), lives('pong aé€😀')],
    ...Object.entries(bad).flatMap(([name, bytes]): Case[] => [
      [`bad: ${name}`, [frame({ opcode: text, payload: quoted(bytes) })], CUT],
      [`bad within text: ${name}`, [frame({ opcode: text, payload: quoted([0x61, 0xc3, 0xa9, ...bytes, 0x61]) })], CUT],
      [
        `bad, in fragments: ${name}`,
        [part(text, quoted(bytes).subarray(0, 22)), part(continuation, quoted(bytes).subarray(22), true)],
        CUT,
      ],
    ]),
    // A word of the processor at a time is checked by some validators: each place in it must be looked at.
    ...Array.from(
      { length: 40 },
      (_, at): Case => [
        `a bad byte behind ${at} good ones`,
        [frame({ opcode: text, payload: quoted([...Buffer.alloc(at, 0x61), 0xff, ...Buffer.alloc(40 - at, 0x61)]) })],
        CUT,
      ],
    ),
  ])('%s', (...one) => expectOutcome(one))

  test.each(Object.entries(bad))('MessagePack with %s in a text is undecodable', async (_name, bytes) => {
    const payload = Buffer.concat([
      pingPacked('').subarray(0, -1),
      Buffer.from([0xa0 + bytes.length]),
      Buffer.from(bytes),
    ])
    expect(await outcomeOf([frame({ opcode: binary, payload })], true)).toEqual(closes(1007))
  })
})

describe('7: closing', () => {
  const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 4000, 4001, 4999]
  // Also 3000 to 3999, which frameworks may use: uWebSockets answers them like those that nobody may send.
  const wrong = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 3000, 3999, 5000, 65_535]
  const NAMELESS = ['close without code', 'end']
  const ask = (payload: string | Buffer): Buffer => frame({ opcode: close, payload })
  test.each<Case>([
    ...codes.map((code): Case => [`with ${code}`, [ask(closeBody(code))], closes(code)]),
    ...codes.map((code): Case => [`with ${code} and why`, [ask(closeBody(code, 'because €'))], closes(code)]),
    ...wrong.map((code): Case => [`with ${code}, which is no code to send`, [ask(closeBody(code))], NAMELESS]),
    ['without a code', [ask('')], NAMELESS],
    ['with half a code', [ask('a')], NAMELESS],
    ['with the longest reason', [ask(closeBody(1000, 'x'.repeat(123)))], closes(1000)],
    ['with too long a reason', [ask(closeBody(1000, 'x'.repeat(124)))], CUT],
    ['with a reason that is not UTF-8', [ask(closeBody(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80])))], NAMELESS],
    [
      'with line ends and escapes in the reason',
      [ask(closeBody(4000, '\r\n{"level":"fatal"}\u001b[2J'))],
      closes(4000),
    ],
    ['twice', [Buffer.concat([ask(closeBody(1000)), ask(closeBody(1001))])], closes(1000)],
    ['and a ping behind it', [Buffer.concat([ask(closeBody(1000)), frame({ opcode: ping })])], closes(1000)],
    ['and a command behind it', [Buffer.concat([ask(closeBody(1000)), say('a')])], closes(1000)],
    ['octet after octet', octets(ask(closeBody(1000, 'bye'))), closes(1000)],
    ['behind a command', [say('a'), ask(closeBody(1000))], ['pong a', 'close 1000', 'end']],
  ])('%s', (...one) => expectOutcome(one))
})

describe('masks', () => {
  test.each<Case>([
    ['of zeros', [frame({ opcode: text, payload: pingText('a'), mask: [0, 0, 0, 0] })], lives('pong a')],
    ['of ones', [frame({ opcode: text, payload: pingText('a'), mask: [255, 255, 255, 255] })], lives('pong a')],
  ])('%s', (...one) => expectOutcome(one))

  // uWebSockets does not look at the mask bit: it takes the first four bytes for the mask, so what was meant is never read.
  test.each([
    ['a command', frame({ opcode: text, payload: pingText('unmasked'), mask: null })],
    ['a ping', frame({ opcode: ping, payload: 'unmasked', mask: null })],
    ['a close', frame({ opcode: close, payload: closeBody(1000, 'unmasked'), mask: null })],
  ])('%s without one is never taken for what it says', async (_name, bytes) => {
    const raw = await RawWebSocket.connect(service, 'raw')
    const before = raw.events.length
    await raw.write(bytes)
    raw.socket.end()
    const events = await raw.until((event) => event === 'end')
    expect(events.slice(before).filter((event) => /unmasked|close 1000/.test(event))).toEqual([])
  })
})

describe('half a frame, then silence', () => {
  const whole = frame({ opcode: text, payload: sized(300).payload })
  test('at every byte of its head and some of its body: others are served, and the rest may still come', async () => {
    const cuts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100, whole.length - 1]
    const silent = await Promise.all(cuts.map((cut) => RawWebSocket.connect(service, `silent-${cut}`)))
    await Promise.all(silent.map((raw, index) => raw.write(whole.subarray(0, cuts[index]))))
    await canary.settled()
    await Promise.all(silent.map((raw, index) => raw.write(whole.subarray(cuts[index]))))
    for (const raw of silent) {
      expect((await raw.until((event) => event.startsWith('pong'))).at(-1)).toBe(sized(300).answer)
      raw.reset()
    }
  })
})
