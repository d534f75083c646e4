import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { clearPayload, notifyPayload, servicePayload } from '../../../src/push/payload.ts'
import { PUSH_CONTENTS } from '../../../src/push/subscription.ts'
import { subjectFault } from '../../../src/push/vapid.ts'

const place = { of: 'ann', tag: 't'.repeat(22), pageUrl: 'https://chat.example.com' }
const unread = { peer: 'bob', peerName: 'Bob', count: 1, text: 'hello', seq: 7, badge: 2 }
const parsed = (payload: Buffer) => JSON.parse(payload.toString('utf8'))

test('says no more than its reader allows', () => {
  const say = (content: (typeof PUSH_CONTENTS)[number], count = 1, locale?: string) =>
    parsed(notifyPayload({ ...unread, count }, { content, locale }, place)).notification
  expect(say('none')).toEqual({
    ...{ title: 'New message', body: '', navigate: `${place.pageUrl}/`, tag: place.tag },
    data: { kind: 'notify', seq: 7, count: 1 },
  })
  expect(say('none', 3)).toMatchObject({ title: 'New message', body: '3 new messages' })
  expect(say('sender')).toMatchObject({ title: 'Bob', body: 'New message', navigate: `${place.pageUrl}/c/bob` })
  expect(say('sender', 100, 'de-CH')).toMatchObject({ body: '99+ neue Nachrichten', lang: 'de-CH' })
  expect(say('sender', 2, 'xx')).toMatchObject({ body: '2 new messages' })
  expect(say('full', 3)).toMatchObject({ title: 'Bob', body: 'hello' })
})

test('says whose it is and of whom, also to a browser that shows it without the worker', () => {
  for (const content of ['sender', 'full'] as const) {
    const { notification, ...fields } = parsed(notifyPayload(unread, { content, locale: undefined }, place))
    expect(fields).toEqual({ web_push: 8030, app_badge: 2, kind: 'notify', with: 'bob', seq: 7, count: 1 })
    expect(notification.data).toEqual({ kind: 'notify', with: 'bob', seq: 7, count: 1, of: 'ann' })
  }
})

test('has one of two sizes, is JSON, and is cut between characters, whatever the text', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 3_000 })
  const worst = fc.constantFrom('\u0001'.repeat(3_000), '"'.repeat(3_000), '\\'.repeat(2_000), '😀'.repeat(1_000), '')
  void fc.assert(
    fc.property(fc.oneof(text, worst), fc.constantFrom(...PUSH_CONTENTS), (content, kind) => {
      const payload = notifyPayload(
        { ...unread, text: content, peer: 'b'.repeat(128), peerName: 'ß'.repeat(64) },
        { content: kind, locale: 'en' },
        place,
      )
      expect([1_024, 3_072]).toContain(payload.byteLength)
      const { body } = parsed(payload).notification
      expect(body.isWellFormed()).toBe(true)
      if (kind === 'full' && content !== '') expect(content.startsWith(body.replace(/…$/, ''))).toBe(true)
      else expect(body).toBe(kind === 'none' ? '' : 'New message')
    }),
  )
})

test('others are padded as well', () => {
  const others = [clearPayload(place, 0), servicePayload('test', undefined, ''), servicePayload('stillThere', 'fr', '')]
  expect(others.map(({ byteLength }) => byteLength)).toEqual([1_024, 1_024, 1_024])
  expect(parsed(clearPayload(place, 3))).toEqual({ kind: 'clear', tag: place.tag, badge: 3 })
})

test.each(['mailto:admin@example.com', 'https://chat.example.com', 'https://example.com/contact'])(
  '%s is a subject',
  (text) => {
    expect(subjectFault(text)).toBeUndefined()
  },
)

test.each([
  'mailto:a@localhost',
  'https://localhost',
  'https://127.0.0.1',
  'https://[::1]',
  'https://chat.local',
  'https://chat.invalid',
  'mailto:admin@chat.test',
  'mailto:admin',
  'http://chat.example.com',
  'admin@example.com',
  'mailto:a@b@example.com',
  '',
])('%s is no subject', (text) => {
  expect(subjectFault(text)).toMatch(/public domain/)
})
