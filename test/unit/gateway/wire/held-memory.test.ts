import { randomUUID } from 'node:crypto'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { decodeEnvelopes } from '../../../../src/delivery/envelope-codec.ts'
import { parseQuery } from '../../../../src/gateway/request.ts'
import { CODECS, type Codec } from '../../../../src/gateway/wire/codec.ts'
import { conversationBetween } from '../../../../src/messages/conversation.ts'
import { KnownHeads } from '../../../../src/messages/known-heads.ts'
import { clientAddress } from '../../../../src/transport/address.ts'
import { heldBytesPerEntry } from '../../../support/heap.ts'

/** Ids of strangers are long, as in production: V8 copies pieces of up to 12 characters by itself. */
const stranger = (): string => randomUUID()
const CONTENT = 'x'.repeat(16_000)
const packr = new Packr({ useRecords: false, variableMapSize: true })
const jsonFrame = (value: object) => Buffer.from(JSON.stringify(value))
const msgpackFrame = (value: object) => Buffer.from(packr.pack(value))

function decoded(codec: Codec, bytes: Buffer): Record<string, unknown> {
  return codec.decode(bytes)?.value as Record<string, unknown>
}

describe('what is remembered of 16 KB of input is less than 1 KB when it is', () => {
  test.each<[string, (index: number) => unknown]>([
    ['the receiver of a JSON send', () => decoded(CODECS.json, jsonFrame(send())).receiver_id],
    ['the receiver of a MessagePack send', () => decoded(CODECS.msgpack, msgpackFrame(send())).receiver_id],
    ['the id of a MessagePack send', () => decoded(CODECS.msgpack, msgpackFrame({ ...send(), id: stranger() })).id],
    [
      'the receiver of a MessagePack send with a field that makes the general decoder read it',
      () => decoded(CODECS.msgpack, msgpackFrame({ first: CONTENT, ...send(), ok: true })).receiver_id,
    ],
    [
      'the receiver of a MessagePack send whose text is not ASCII',
      () => decoded(CODECS.msgpack, msgpackFrame({ ...send(), content: `é${CONTENT}` })).receiver_id,
    ],
    [
      'one of many users to watch in MessagePack',
      () =>
        (
          decoded(CODECS.msgpack, msgpackFrame({ user_ids: Array.from({ length: 400 }, stranger) }))
            .user_ids as string[]
        )[7],
    ],
    [
      'one of many users to watch in JSON',
      () =>
        (decoded(CODECS.json, jsonFrame({ user_ids: Array.from({ length: 400 }, stranger) })).user_ids as string[])[7],
    ],
    ['a user in a query', () => parseQuery(z.looseObject({ user_id: z.string() }), query()).user_id],
    ['a person in a message of another instance', () => envelope()?.[0]?.message?.sender_id],
    ['an address that a proxy wrote', () => addressOf('192.0.2.1', `${'1.1.1.1, '.repeat(1800)}203.0.113.101`)],
  ])('%s', (_what, make) => {
    expect(make(0)).toEqual(expect.stringMatching(/.{13}/))
    expect(heldBytesPerEntry(make)).toBeLessThan(1024)
  })

  test('the head of a conversation with a stranger', () => {
    const heads = new KnownHeads()
    const held = heldBytesPerEntry((index) => {
      const { receiver_id } = decoded(CODECS.msgpack, msgpackFrame(send()))
      heads.saw(conversationBetween('ann', String(receiver_id)), index + 1)
    })
    expect(held).toBeLessThan(1024)
  })
})

const send = () => ({ type: 'send', receiver_id: stranger(), content: CONTENT })
const query = () => ({ query: `user_id=${stranger()}&more=${CONTENT}` }) as Parameters<typeof parseQuery>[1]
const envelope = () => decodeEnvelopes('one', `two\n7 ${stranger()} ${stranger()} {"content":"${CONTENT}"}`)
const addressOf = clientAddress(['192.0.2.1'])
