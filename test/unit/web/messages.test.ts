// How a message is shown: its links, and how it stands among others.
import { describe, expect, test } from 'vitest'
import type { MessageItem } from '../../../src/client/index.ts'
import { placeOf } from '../../../src/web/messages/grouping.ts'
import { piecesOf } from '../../../src/web/messages/links.ts'

const links = (text: string) => piecesOf(text).filter(({ url }) => url !== undefined)
const urls = (text: string) => links(text).map(({ url }) => url)

describe('links', () => {
  test.each([
    ['see https://example.com/a?b=c#d.', ['https://example.com/a?b=c#d']],
    ['example.com and mail@example.com', ['http://example.com/', 'mailto:mail@example.com']],
    ['(https://example.com/x_(y))', ['https://example.com/x_(y)']],
    ['no link here. None', []],
    ['javascript:alert(1) data:text/html,x ftp://example.com //example.com', []],
    ['vbscript:x file:///etc/passwd', []],
  ])('%s', (text, expected) => {
    expect(urls(text)).toEqual(expected)
  })

  test('the pieces together are the text', () => {
    const text = 'a https://example.com/ b mail@example.com c'
    expect(
      piecesOf(text)
        .map((piece) => piece.text)
        .join(''),
    ).toBe(text)
  })

  test.each([
    ['https://аррӏе.com/', 'https://xn--80ak6aa92e.com/'],
    ['https://яндекс.com/', 'https://xn--d1acpjx3f.com/'],
    ['https://οοο.gr/', 'https://xn--0xaaa.gr/'],
    ['https://mıcrosoft.com/', 'https://xn--mcrosoft-tkb.com/'],
    ['https://ɑpple.com/', 'https://xn--pple-p5b.com/'],
    ['https://www.bücher.example/', 'https://www.bücher.example/'],
    ['https://ไทย.example/', 'https://ไทย.example/'],
    ['https://παράδειγμα.ελ/', 'https://παράδειγμα.ελ/'],
  ])('a host that may look like another is shown as it is looked up: %s', (written, shown) => {
    expect(links(written)[0]?.text).toBe(shown)
  })

  test('a host that mixes scripts is shown as it is looked up; one of a single script as it was written', () => {
    expect(links('https://аpple.com/x')[0]?.text).toBe('https://xn--pple-43d.com/x')
    expect(links('https://münchen.de/x')[0]?.text).toBe('https://münchen.de/x')
    expect(links('https://пример.рф/')[0]?.text).toBe('https://пример.рф/')
    expect(links('https://日本語.jp/')[0]?.text).toBe('https://日本語.jp/')
  })

  test('an address that turns the direction of the text is none', () => {
    expect(urls('https://example.com/\u202egnp.exe')).toEqual([])
    expect(urls('https://example.com/\u2066x')).toEqual([])
  })

  test('what is long is searched at its beginning, and never cut', () => {
    const long = `${'x '.repeat(3000)}https://example.com/`
    expect(piecesOf(long).map(({ text }) => text)).toEqual([long])
    const cut = `${'x'.repeat(4090)} https://example.com/long`
    expect(
      piecesOf(cut)
        .map(({ text }) => text)
        .join(''),
    ).toBe(cut)
    expect(urls(cut)).toEqual([])
  })

  test.each([
    ['https://bank.example', ['https://bank.example/']],
    ['https://bank.example.', ['https://bank.example/']],
    ['mail@bank.exam', ['mailto:mail@bank.exam']],
    ['https://bank.example, then more', ['https://bank.example/']],
  ])('"%s" is a link only where the text does not go on', (text, whole) => {
    const cut = piecesOf(text, true).flatMap(({ url }) => url ?? [])
    expect([urls(text), cut]).toEqual([whole, /\s/.test(text) ? whole : []])
  })
})

describe('groups', () => {
  const row = (sender_id: string, created_at?: string): MessageItem =>
    ({
      id: `${sender_id} ${created_at}`,
      sender_id,
      receiver_id: 'x',
      content: '',
      state: 'sent',
      created_at,
    }) as MessageItem
  const at = (time: string): string => new Date(`2026-11-29T${time}:00`).toISOString()
  const places = (rows: readonly MessageItem[], divided = -1): string[] =>
    rows.map((_, index) => {
      const { isFirst, isLast, beginsDay } = placeOf(rows, index, (one) => one === divided)
      return [isFirst && 'first', isLast && 'last', beginsDay && 'day'].filter(Boolean).join(' ')
    })

  test('what one person wrote within five minutes is together', () => {
    expect(
      places([row('a', at('10:00')), row('a', at('10:05')), row('a', at('10:11')), row('b', at('10:11'))]),
    ).toEqual(['first day', 'last', 'first last', 'first last'])
  })

  test('a day begins where the local date changes', () => {
    const rows = [row('a', at('23:59')), row('a', new Date('2026-11-30T00:01:00').toISOString())]
    expect(places(rows)).toEqual(['first last day', 'first last day'])
  })

  test('what is new begins a group', () => {
    expect(places([row('a', at('10:00')), row('a', at('10:01'))], 1)).toEqual(['first last day', 'first last'])
  })

  test('what is not stored yet is of now', () => {
    const now = new Date().toISOString()
    expect(places([row('a', now), row('a')])[1]).toBe('last')
  })
})
