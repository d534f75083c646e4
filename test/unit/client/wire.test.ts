import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeEvent } from '../../../src/client/wire.ts'
import { jsonCodec } from '../../../src/gateway/wire/codec.ts'

const message = { id: 'i', seq: 3, sender_id: 'a', receiver_id: 'b', content: 'hi', created_at: 'now' }
const positions = { delivered_seq: 1, read_seq: 1, peer_delivered_seq: 1, peer_read_seq: 1 }

test.each([
  {
    type: 'welcome',
    user_id: 'a',
    connection_id: 'c',
    server_time: 't',
    protocol: 1,
    max_content_bytes: 9,
    heartbeat_seconds: 3,
  },
  { type: 'sent', ref: 1, id: 'i', seq: 1, with: 'b', created_at: 't', duplicate: false },
  { type: 'message', ...message },
  { type: 'error', ref: 'r', code: 'overloaded', message: 'no', retry_after_ms: 3 },
  { type: 'history', ref: 1, with: 'b', messages: [message], has_more: true },
  {
    type: 'conversations',
    conversations: [{ with: 'b', last_seq: 1, last_message: null, unread: 0, ...positions }],
    next_cursor: null,
  },
  { type: 'sync', changed: [{ with: 'b', last_seq: 1, ...positions }], server_time: 't' },
  { type: 'receipt', with: 'b', delivered_seq: 1, read_seq: 0 },
  { type: 'presence', user_id: 'b', status: 'online' },
  { type: 'synced', server_time: 't' },
  { type: 'typing', sender_id: 'b', active: true },
  { type: 'lagging' },
  { type: 'draining', reconnect_after_ms: 5 },
  { type: 'pong' },
] as const)('reads what the server writes: $type', (event) => {
  const frame = jsonCodec.encode(event as Parameters<typeof jsonCodec.encode>[0])
  expect(decodeEvent(frame)).toMatchObject(event)
})

test('takes a later kind of entry for its number, and a later kind of push for no entry', () => {
  expect(decodeEvent('{"type":"reaction","with":"b","seq":4,"mark":"x"}')).toEqual({
    type: 'unknown',
    with: 'b',
    seq: 4,
  })
  expect(decodeEvent('{"type":"weather","seq":4}')).toMatchObject({ type: 'weather' })
  expect(decodeEvent('{"type":"toString","with":"b"}')).toMatchObject({ type: 'toString' })
})

test.each([
  ['no JSON', '{'],
  ['no object', '[1]'],
  ['no type', '{}'],
  ['null', 'null'],
  ['a later kind that is not said, and has no number', '{"type":"unknown"}'],
  ['a number without end', '{"type":"receipt","with":"b","delivered_seq":1e999,"read_seq":0}'],
  ['a field of another kind', '{"type":"receipt","with":"b","delivered_seq":"1","read_seq":0}'],
  ['a missing field', '{"type":"message","id":"i"}'],
  ['a list that is none', '{"type":"history","with":"b","messages":{},"has_more":false}'],
  ['an item of a list that is none', '{"type":"history","with":"b","messages":[null],"has_more":false}'],
])('ignores a frame with %s', (_, frame) => {
  expect(decodeEvent(frame)).toBeUndefined()
})

test('never throws, whatever comes', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      decodeEvent(JSON.stringify(value))
      if (typeof value !== 'symbol' && typeof value !== 'object') decodeEvent(value)
    }),
    { seed: 19_071, numRuns: 1000 },
  )
})
