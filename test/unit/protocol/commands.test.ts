import { describe, expect, test } from 'vitest'
import { type Command, type CommandRules, parseCommand } from '../../../src/protocol/commands.ts'

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
  ping: [{}, { ref: '' }],
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

describe('a command', () => {
  test.each(valid)('is taken: %j', (frame) => {
    expect(parseCommand(frame, RULES)).toEqual({ ok: true, command: frame })
  })

  test.each(INVALID)('is refused: %j for %s', (frame, field) => {
    const refusal = refusalOf(frame)
    expect(refusal).toMatchObject({ code: 'invalid_request' })
    if (field !== undefined) expect(refusal).toMatchObject({ field })
  })

  test.each(valid)('with a field that nobody knows is refused by its name: %j', (frame) => {
    expect(refusalOf({ ...frame, extra: 1 })).toMatchObject({
      code: 'invalid_request',
      field: 'extra',
      message: 'Unknown field: extra.',
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
    expect(refusalOf(send(content))).toEqual({ code, field: 'content', ref: 'r' })
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

  test.each([[null], [true], [{}], [['r']], [Number.NaN], [Number.POSITIVE_INFINITY]])(
    'does not echo the ref %j',
    (ref) => {
      expect(refusalOf({ type: 'nonsense', ref })).not.toHaveProperty('ref')
    },
  )

  test.each([['one'], [7], [null], [[ID]]])('does not echo the id %j', (id) => {
    expect(refusalOf({ type: 'nonsense', id })).not.toHaveProperty('id')
  })

  test('never quotes the text of the message', () => {
    const secret = 'secret'
    expect(JSON.stringify(refusalOf({ type: 'send', receiver_id: 7, content: secret }))).not.toContain(secret)
    expect(JSON.stringify(refusalOf({ type: 'send', receiver_id: 'bob', content: `${secret}\0` }))).not.toContain(
      secret,
    )
  })
})
