import { describe, expect, test } from 'vitest'
import { type CommandRules, parseCommand, refuseRepeated } from '../../../../src/gateway/wire/commands.ts'
import type { Command } from '../../../../src/protocol/commands.ts'

const ID = '0190b6f1-0000-7000-8000-000000000000'
const RULES: CommandRules = { maxContentBytes: 16, implicitSend: false }
const refusalOf = (value: unknown, rules = RULES) => {
  const parsed = parseCommand(value, rules)
  return parsed.ok ? parsed.command : parsed.refusal
}

/** Every command in its smallest and its largest form. */
const VALID: { readonly [Type in Command['type']]: readonly Record<string, unknown>[] } = {
  send: [
    { receiver_id: 'bob', content: 'x' },
    { receiver_id: 'bob', content: 'x', id: ID, ref: 1 },
    { receiver_id: 'x'.repeat(128), content: '😀😀😀😀', id: ID.toUpperCase(), ref: 'r' },
  ],
  ack: [
    { with: 'bob', seq: 1 },
    { with: 'bob', seq: Number.MAX_SAFE_INTEGER, ref: 0 },
  ],
  read: [
    { with: 'bob', seq: 1 },
    { with: 'bob', seq: 2 ** 40, ref: -1.5 },
  ],
  typing: [{ receiver_id: 'bob' }, { receiver_id: 'bob', active: false, ref: 'r' }],
  history: [{ with: 'bob' }, { with: 'bob', before: 0, after: 0, limit: 500, ref: 'r' }],
  conversations: [{}, { limit: 1000, cursor: 'c', ref: 'r' }],
  sync: [
    {},
    { heads: [], ref: 'r' },
    {
      heads: [
        ['bob', 0],
        ['cid', 7],
      ],
      since: '2026-01-02T03:04:05Z',
    },
    { since: '2026-01-02T03:04:05.678+02:00' },
  ],
  watch: [{ user_ids: [] }, { user_ids: Array<string>(500).fill('bob'), ref: 'r' }],
  unwatch: [{ user_ids: ['bob'] }],
  auth: [{ token: 't' }, { token: 't', ref: 'r' }],
  state: [{ active: true }, { active: false, ref: 'r' }],
  ping: [{}, { ref: '' }, { ref: Number.MAX_SAFE_INTEGER }, { ref: Number.MIN_SAFE_INTEGER }],
}
const valid = Object.entries(VALID).flatMap(([type, all]) => all.map((fields) => ({ type, ...fields })))

/** What is wrong with each; the last is the field that the refusal must name. */
const INVALID: readonly [Record<string, unknown>, string | undefined][] = [
  [{ type: 'send', content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 'bob' }, 'content'],
  [{ type: 'send', receiver_id: 'bob', content: '' }, 'content'],
  [{ type: 'send', receiver_id: 'bob', content: null }, 'content'],
  [{ type: 'send', receiver_id: 'bob', content: ['x'] }, 'content'],
  [{ type: 'send', receiver_id: '', content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: '.bob', content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 'b b', content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 'bob\n', content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 'ü', content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 'x'.repeat(129), content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 7, content: 'x' }, 'receiver_id'],
  [{ type: 'send', receiver_id: 'bob', content: 'x', id: 'one' }, 'id'],
  [{ type: 'send', receiver_id: 'bob', content: 'x', id: `{${ID}}` }, 'id'],
  [{ type: 'send', receiver_id: 'bob', content: 'x', id: null }, 'id'],
  [{ type: 'send', receiver_id: 'bob', content: 'x', ref: null }, 'ref'],
  [{ type: 'send', receiver_id: 'bob', content: 'x', ref: {} }, 'ref'],
  [{ type: 'send', receiver_id: 'bob', content: 'x', ref: Number.NaN }, 'ref'],
  [{ type: 'ping', ref: 2 ** 53 }, 'ref'],
  [{ type: 'ping', ref: -(2 ** 53) }, 'ref'],
  [{ type: 'ping', ref: 1e300 }, 'ref'],
  [{ type: 'ping', ref: Number.POSITIVE_INFINITY }, 'ref'],
  [{ type: 'ping', ref: -0 }, 'ref'],
  [{ type: 'state' }, 'active'],
  [{ type: 'state', active: 1 }, 'active'],
  [{ type: 'ack', seq: 1 }, 'with'],
  [{ type: 'ack', with: 'bob' }, 'seq'],
  [{ type: 'ack', with: 'bob', seq: 0 }, 'seq'],
  [{ type: 'ack', with: 'bob', seq: -1 }, 'seq'],
  [{ type: 'ack', with: 'bob', seq: 1.5 }, 'seq'],
  [{ type: 'ack', with: 'bob', seq: '1' }, 'seq'],
  [{ type: 'read', with: 'bob', seq: 2 ** 53 }, 'seq'],
  [{ type: 'typing', receiver_id: 'bob', active: 'yes' }, 'active'],
  [{ type: 'history', with: 'bob', before: -1 }, 'before'],
  [{ type: 'history', with: 'bob', after: 'abc' }, 'after'],
  [{ type: 'history', with: 'bob', limit: 0 }, 'limit'],
  [{ type: 'history', with: 'bob', limit: 501 }, 'limit'],
  [{ type: 'conversations', limit: 1001 }, 'limit'],
  [{ type: 'conversations', cursor: 7 }, 'cursor'],
  [{ type: 'conversations', cursor: '' }, 'cursor'],
  [{ type: 'sync', heads: [['bob']] }, undefined],
  [{ type: 'sync', heads: [['bob', -1]] }, 'heads.0.1'],
  [
    {
      type: 'sync',
      heads: [
        ['bob', 5],
        ['ann', 1],
        ['bob', 7],
      ],
    },
    'heads',
  ],
  [{ type: 'sync', heads: [['bob', 1, 2]] }, undefined],
  [{ type: 'sync', heads: Array<[string, number]>(1001).fill(['bob', 1]) }, 'heads'],
  [{ type: 'sync', since: 'yesterday' }, 'since'],
  [{ type: 'sync', since: '2026-01-02' }, 'since'],
  [{ type: 'sync', since: 0 }, 'since'],
  [{ type: 'watch' }, 'user_ids'],
  [{ type: 'watch', user_ids: ['bob', 'b b'] }, 'user_ids.1'],
  [{ type: 'watch', user_ids: Array<string>(501).fill('bob') }, 'user_ids'],
  [{ type: 'auth' }, 'token'],
  [{ type: 'nonsense' }, 'type'],
  [{ type: '__proto__' }, 'type'],
  [{ type: 7 }, 'type'],
  [{ type: null }, 'type'],
  [{}, 'type'],
]

/** What the field must be, and no word of a library. */
const OUR_STYLE = /^[a-z_]+ (is missing; it )?must be (?!.*(Invalid|expected|received|String|Array)).+\.$/

describe('a command', () => {
  test.each(valid)('is taken: %j', (frame) => {
    expect(parseCommand(frame, RULES)).toEqual({ ok: true, command: frame })
  })

  test.each(INVALID)('is refused: %j for %s', (frame, field) => {
    const refusal = refusalOf(frame)
    expect(refusal).toMatchObject({ code: 'invalid_request', message: expect.stringMatching(OUR_STYLE) })
    if (field !== undefined) expect(refusal).toMatchObject({ field })
  })

  test.each(valid)('with a field that nobody knows is refused by its name: %j', (frame) => {
    expect(refusalOf({ ...frame, extra: 1 })).toMatchObject({
      code: 'invalid_request',
      field: 'extra',
      message: expect.stringMatching(/^There is no field extra; the fields are type, .*ref\.$/),
    })
  })

  test('must be one object', () => {
    for (const value of [null, undefined, 1, 'send', true, [], [{ type: 'ping' }]]) {
      expect(refusalOf(value)).toEqual({ code: 'invalid_request', message: 'A frame must be one object.' })
    }
  })

  test('names no more than 64 characters of an unknown field', () => {
    const refusal = refusalOf({ type: 'ping', ['x'.repeat(60_000)]: 1 })
    expect(JSON.stringify(refusal).length).toBeLessThan(300)
  })
})

describe('a send', () => {
  const send = (content: string) => ({ type: 'send', receiver_id: 'bob', content, ref: 'r' })

  test.each([
    ['payload_too_large', 'x'.repeat(17)],
    ['payload_too_large', '😀😀😀😀x'],
    ['invalid_text', 'a\0b'],
    ['invalid_text', 'a\ud800'],
    ['invalid_text', '\udc00\ud800'],
    ['invalid_request', ''],
  ])('is refused as %s for the text %j', (code, content) => {
    expect(refusalOf(send(content))).toMatchObject({ code, field: 'content', ref: 'r' })
  })

  test('needs no type where the rules say so, and only there', () => {
    const bare = { receiver_id: 'bob', content: 'x' }
    expect(refusalOf(bare)).toMatchObject({ field: 'type' })
    const implicit = { ...RULES, implicitSend: true }
    expect(parseCommand(bare, implicit)).toEqual({ ok: true, command: { type: 'send', ...bare } })
    expect(parseCommand({ type: 'ping' }, implicit)).toEqual({ ok: true, command: { type: 'ping' } })
    expect(refusalOf({ ...bare, type: null }, implicit)).toMatchObject({ field: 'type' })
    expect(refusalOf({ ...bare, extra: 1 }, implicit)).toMatchObject({ field: 'extra' })
    expect(bare).not.toHaveProperty('type')
  })
})

describe('the message of a refusal says what would be right', () => {
  const messageOf = (value: unknown) => {
    const parsed = parseCommand(value, RULES)
    return parsed.ok ? undefined : parsed.refusal.message
  }
  const USER_ID = 'a user id: 1 to 128 letters, digits or . _ @ + -, the first of them a letter or a digit.'

  test.each([
    [{ type: 'send', content: 'x' }, `receiver_id is missing; it must be ${USER_ID}`],
    [{ type: 'send', receiver_id: 'b b', content: 'x' }, `receiver_id must be ${USER_ID}`],
    [{ type: 'send', receiver_id: 'bob', content: '' }, 'content must be a text of at least one character.'],
    [{ type: 'send', receiver_id: 'bob', content: 'x'.repeat(17) }, 'content must be at most 16 bytes of UTF-8.'],
    [{ type: 'send', receiver_id: 'bob', content: 'x', id: 'one' }, 'id must be a UUID.'],
    [{ type: 'ack', with: 'bob', seq: 0 }, 'seq must be a whole number from 1 on.'],
    [{ type: 'history', with: 'bob', limit: 501 }, 'limit must be a whole number from 1 to 500.'],
    [{ type: 'conversations', limit: 0 }, 'limit must be a whole number from 1 to 1000.'],
    [{ type: 'conversations', cursor: '' }, 'cursor must be the next_cursor of the page before.'],
    [{ type: 'sync', since: 'yesterday' }, 'since must be a time such as 2026-01-02T03:04:05.678Z.'],
    [
      { type: 'sync', heads: [['bob']] },
      'heads must be a list of at most 1000 pairs of a user id and a whole number, none twice of one user.',
    ],
    [{ type: 'watch', user_ids: ['bob', ''] }, 'user_ids must be a list of at most 500 user ids.'],
    [{ type: 'typing', receiver_id: 'bob', active: 1 }, 'active must be true or false.'],
    [
      { type: 'ping', ref: null },
      /^ref must be a text, or a number that can come back as it was sent: .*9007199254740991\.$/,
    ],
    [{ type: 'nonsense' }, /^type must be one of send, ack, .*, ping\.$/],
    [{}, /^type is missing; it must be one of send, ack, .*, ping\.$/],
    [{ type: 'ping', extra: 1 }, 'There is no field extra; the fields are type, ref.'],
    [[], 'A frame must be one object.'],
  ])('to %j: %s', (frame, message) => {
    expect(messageOf(frame)).toEqual(typeof message === 'string' ? message : expect.stringMatching(message))
  })

  test('with an example to those who may be typing', () => {
    const parsed = parseCommand('hello', { ...RULES, implicitSend: true })
    const { message = '' } = parsed.ok ? {} : parsed.refusal
    expect(message).toMatch(/^A frame must be one object, such as \{.*\}\.$/)
    const example = JSON.parse(message.slice(message.indexOf('{'), -1))
    expect(parseCommand(example, { ...RULES, implicitSend: true }).ok).toBe(true)
  })
})

describe('a refusal', () => {
  test('echoes ref and id whenever they could be such', () => {
    const ref = 'r'
    expect(refusalOf({ type: 'nonsense', ref, id: ID })).toMatchObject({ ref, id: ID })
    expect(refusalOf({ type: 'send', receiver_id: 7, content: 'x', ref: 0, id: ID })).toMatchObject({ ref: 0, id: ID })
    expect(refusalOf({ type: 'send', receiver_id: 'bob', content: 'a\0', ref: '', id: ID })).toMatchObject({
      ref: '',
      id: ID,
    })
  })

  test.each([[null], [true], [{}], [['r']], [Number.NaN], [Number.POSITIVE_INFINITY], [2 ** 53], [-0]])(
    'does not echo the ref %j',
    (ref) => {
      expect(refusalOf({ type: 'nonsense', ref })).not.toHaveProperty('ref')
    },
  )

  test.each([['one'], [7], [null], [[ID]]])('does not echo the id %j', (id) => {
    expect(refusalOf({ type: 'nonsense', id })).not.toHaveProperty('id')
  })

  test('of equal names echoes ref and id', () => {
    const refusal = { code: 'invalid_request', message: 'to must be given only once.', field: 'to' }
    expect(refuseRepeated({ to: 1, ref: 'r', id: ID }, 'to')).toEqual({
      ok: false,
      refusal: { ...refusal, ref: 'r', id: ID },
    })
    expect(refuseRepeated([], 'to')).toEqual({ ok: false, refusal })
  })

  test('never quotes the text of the message', () => {
    const secret = 'secret'
    expect(JSON.stringify(refusalOf({ type: 'send', receiver_id: 7, content: secret }))).not.toContain(secret)
    expect(JSON.stringify(refusalOf({ type: 'send', receiver_id: 'bob', content: `${secret}\0` }))).not.toContain(
      secret,
    )
  })
})
