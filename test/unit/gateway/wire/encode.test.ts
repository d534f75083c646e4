import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { CODECS } from '../../../../src/gateway/wire/codec.ts'
import { bytesOf } from '../../../../src/gateway/wire/msgpack.ts'
import type { MessagePush, Sent, ServerEvent } from '../../../../src/protocol/events.ts'

const { json, msgpack } = CODECS
const TIME = '2026-01-02T03:04:05.678Z'
const ID = '0190b6f1-0000-7000-8000-000000000000'
const message = { id: ID, seq: 1, sender_id: 'ann', receiver_id: 'bob', content: 'hi 😀\n\\', created_at: TIME }
const positions = { delivered_seq: 1, read_seq: 0, peer_delivered_seq: 2 ** 40, peer_read_seq: 4 }

/** One of every event there is: the type makes a forgotten one an error. */
const EVENTS: { readonly [Type in ServerEvent['type']]: readonly Extract<ServerEvent, { type: Type }>[] } = {
  welcome: [
    {
      type: 'welcome',
      user_id: 'ann',
      connection_id: 'c',
      server_time: TIME,
      epoch: 'e',
      protocol: 1,
      max_content_bytes: 16_384,
      heartbeat_seconds: 30,
      expires_at: TIME,
    },
    {
      type: 'welcome',
      user_id: 'ann',
      connection_id: 'c',
      server_time: TIME,
      epoch: 'e',
      protocol: 1,
      max_content_bytes: 16_384,
      heartbeat_seconds: 30,
      expires_at: TIME,
    },
  ],
  sent: [
    { type: 'sent', ref: 'r', id: ID, seq: 1, with: 'bob', created_at: TIME, duplicate: false },
    { type: 'sent', ref: 0, id: ID, seq: 2 ** 33, with: 'bob', created_at: TIME, duplicate: true },
    { type: 'sent', ref: undefined, id: ID, seq: 1, with: 'bob', created_at: TIME, duplicate: false },
    { type: 'sent', id: ID, seq: 1, with: 'bob', created_at: TIME, duplicate: false },
  ],
  message: [{ type: 'message', ...message }],
  error: [
    { type: 'error', ref: 'r', code: 'invalid_text', message: 'm', field: 'content', id: ID },
    { type: 'error', ref: undefined, code: 'overloaded', message: 'm', field: undefined, retry_after_ms: 1000 },
  ],
  history: [{ type: 'history', ref: 1.5, with: 'bob', messages: [message, message], has_more: true }],
  conversations: [
    {
      type: 'conversations',
      conversations: [
        { with: 'bob', last_seq: 1, last_message: message, ...positions, unread: 100 },
        { with: 'cid', last_seq: 1, last_message: null, ...positions, unread: 0 },
      ],
      next_cursor: null,
    },
  ],
  sync: [
    { type: 'sync', ref: '', changed: [{ with: 'bob', last_seq: 3, ...positions }], server_time: TIME, epoch: 'e' },
  ],
  authenticated: [{ type: 'authenticated', ref: 'r', expires_at: TIME }],
  auth_expiring: [{ type: 'auth_expiring', in_ms: 60_000 }],
  user_changed: [{ type: 'user_changed', user_id: 'bob', display_name: 'Bob é', avatar: '/api/avatars/1' }],
  receipt: [
    { type: 'receipt', with: 'bob', delivered_seq: 2, read_seq: 1 },
    { type: 'receipt', with: 'bob', delivered_seq: 2, read_seq: 1, user_id: 'ann' },
  ],
  presence: [{ type: 'presence', user_id: 'bob', status: 'offline', last_seen: TIME }],
  synced: [{ type: 'synced', server_time: TIME, epoch: 'e' }],
  typing: [{ type: 'typing', sender_id: 'bob', active: false }],
  lagging: [{ type: 'lagging' }, { type: 'lagging', with: 'bob' }],
  draining: [{ type: 'draining', reconnect_after_ms: 12 }],
  pong: [{ type: 'pong' }, { type: 'pong', ref: 'r' }, { type: 'pong', ref: undefined }],
}
const every: readonly ServerEvent[] = Object.values(EVENTS).flat()

const decodeJson = (event: ServerEvent): unknown => JSON.parse(json.encode(event))
/** As a client that knows nothing of ours decodes it. */
const decodeMsgpack = (event: ServerEvent): unknown =>
  new Packr({ useRecords: false }).unpack(bytesOf(msgpack.encode(event)))

describe('encoding', () => {
  test.each(every)('carries the same fields of $type in both encodings', (event) => {
    expect(decodeJson(event)).toStrictEqual(JSON.parse(JSON.stringify(event)))
    expect(decodeMsgpack(event)).toStrictEqual(decodeJson(event))
  })

  test.each(every)('makes a plain map of $type for MessagePack', (event) => {
    const head = Number(bytesOf(msgpack.encode(event))[0])
    expect((head & 0xf0) === 0x80 || head === 0xde).toBe(true)
  })

  test('writes messages exactly as JSON.stringify would, whatever their text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.constant('\ud800 "\\\u2028'),
    )
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (content, seq) => {
        const push: MessagePush = { type: 'message', ...message, seq, content }
        expect(json.encode(push)).toBe(JSON.stringify(push))
      }),
      { numRuns: 1000 },
    )
  })

  test('writes every single UTF-16 unit as JSON.stringify would, alone and beside others', () => {
    const texts = Array.from({ length: 0x1_0000 }, (_, unit) => String.fromCharCode(unit)).flatMap((c) => [
      c,
      `a${c}汉`,
    ])
    const unlike = texts.filter((content) => {
      const push: MessagePush = { type: 'message', ...message, content }
      return json.encode(push) !== JSON.stringify(push)
    })
    expect(unlike).toStrictEqual([])
  })

  test('writes sent exactly as JSON.stringify would, whatever its ref', () => {
    const ref = fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.integer(), fc.constant(undefined))
    fc.assert(
      fc.property(ref, fc.boolean(), (one, duplicate) => {
        const sent: Sent = { type: 'sent', ref: one, id: ID, seq: 7, with: 'b.o+b@c-d', created_at: TIME, duplicate }
        expect(json.encode(sent)).toBe(JSON.stringify(sent))
      }),
      { numRuns: 1000 },
    )
  })

  test('packs messages as they are, whatever their text and length', () => {
    const unit = fc.constantFrom('a', 'é', '汉', '😀', '\0', '\ufffd', '"')
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit, maxLength: 300 }),
      fc.tuple(unit, fc.constantFrom(31, 32, 255, 256, 8192, 65_535, 65_536)).map(([one, count]) => one.repeat(count)),
    )
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (content, seq) => {
        const push: MessagePush = { type: 'message', ...message, seq, content }
        expect(decodeMsgpack(push)).toStrictEqual(push)
      }),
    )
  })

  test('packs sent as it is, whatever its ref and seq', () => {
    const number = fc.oneof(
      fc.double({ noNaN: true }),
      fc.integer(),
      fc.nat(2 ** 33),
      fc.constantFrom(-0, 127, 128, 255, 256),
    )
    const ref = fc.oneof(fc.string({ unit: 'grapheme' }), number)
    const seq = fc.oneof(fc.nat(70_000), fc.constantFrom(65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1))
    fc.assert(
      fc.property(ref, seq, fc.boolean(), (one, number, duplicate) => {
        const sent: Sent = {
          type: 'sent',
          ref: one,
          id: ID,
          seq: number,
          with: 'b.o+b@c-d',
          created_at: TIME,
          duplicate,
        }
        expect(decodeMsgpack(sent)).toStrictEqual(sent)
      }),
      { numRuns: 1000 },
    )
  })

  test('makes bytes of characters whatever their number, also when the last ones were as many', () => {
    for (const length of [0, 1, 2048, 2049, 65_536, 65_537, 200_000]) {
      for (const character of ['\x00', '\x7f', '\x80', '\xff']) {
        const bytes = bytesOf(character.repeat(length))
        expect(bytes.length).toBe(length)
        expect(bytes.every((byte) => byte === character.charCodeAt(0))).toBe(true)
      }
    }
  })
})
