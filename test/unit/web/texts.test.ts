import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { de } from '../../../src/web/texts/de.ts'
import { en } from '../../../src/web/texts/en.ts'
import { daysBetween, formatsOf } from '../../../src/web/texts/formats.ts'
import { pseudo } from '../../../src/web/texts/pseudo.ts'
import { type TextKey, type Texts, translator } from '../../../src/web/texts/texts.ts'

const keys = Object.keys(en) as TextKey[]
const formsOf = (texts: Texts, key: TextKey): string[] => {
  const text = texts[key]
  return typeof text === 'string' ? [text] : Object.values(text)
}
const valuesIn = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).toSorted()

test.each<[string, Texts]>([
  ['German', de],
  ['the pseudo-locale', pseudo],
])('%s has every text, with the same values and plural forms', (_, texts) => {
  expect(Object.keys(texts)).toEqual(keys)
  for (const key of keys) {
    const [own, english] = [formsOf(texts, key), formsOf(en, key)]
    expect(typeof texts[key], key).toBe(typeof en[key])
    // "once" needs no number.
    const others = (texts: string[]) => texts.map((text) => valuesIn(text).filter((name) => name !== '{count}'))
    expect(others(own), key).toEqual(others(english))
    expect(valuesIn(own.at(-1) ?? ''), key).toEqual(valuesIn(english.at(-1) ?? ''))
    for (const text of own) expect(text.trim(), key).not.toBe('')
  }
})

test('nothing is left in English in German, apart from what is the same', () => {
  const same = keys.filter((key) => formsOf(de, key).join() === formsOf(en, key).join())
  expect(same).toEqual([
    'app.title',
    'action.of',
    'list.unread.short',
    'talk.row',
    'talk.row.state',
    'talk.copied',
    'presence.online',
    'presence.offline',
    'announce.message',
    'settings.theme.system',
    'settings.about',
    'admin.role.admin',
  ])
})

test('every text is shown somewhere', () => {
  const web = fileURLToPath(new URL('../../../src/web/', import.meta.url))
  const isCode = (path: string): boolean => /\.tsx?$/.test(path) && !/texts\/(?:en|de)/.test(path)
  const files = readdirSync(web, { recursive: true, encoding: 'utf8' }).filter(isCode)
  const code = files.map((path) => readFileSync(join(web, path), 'utf8')).join('\n')
  // By its key, or by one that is put together: `state.${state}`.
  const prefixes = [...code.matchAll(/`([a-z._]+\.)\$\{/g)].map(([, prefix = '']) => prefix)
  const unused = keys.filter((key) => !code.includes(`'${key}'`) && !prefixes.some((prefix) => key.startsWith(prefix)))
  expect(unused).toEqual([])
})

test('the pseudo-locale is at least 40 % longer', () => {
  for (const key of keys)
    for (const [index, text] of formsOf(pseudo, key).entries())
      expect(text.length, key).toBeGreaterThanOrEqual(1.4 * (formsOf(en, key)[index]?.length ?? 0))
})

test('numbers choose the form and are written as the language writes them', () => {
  const english = translator(en, 'en')
  expect([1, 2, 0].map((count) => english('talk.jump', { count }))).toEqual([
    '1 new message',
    '2 new messages',
    '0 new messages',
  ])
  expect(translator(de, 'de')('talk.jump', { count: 1234 })).toBe('1.234 neue Nachrichten')
  // A name that looks like a value is a name.
  expect(english('list.open', { name: '{count} $& $1' })).toBe('Write to “{count} $& $1”')
})

test('times are told by the local calendar', () => {
  const t = translator(en, 'en')
  const { short, day, past, future, exact } = formatsOf('en-GB', t)
  const now = new Date(2026, 10, 30, 0, 5)
  const minutes = (count: number): Date => new Date(now.getTime() + count * 60_000)
  expect(
    [
      minutes(0),
      minutes(-10),
      minutes(-3 * 1440),
      minutes(-6 * 1440),
      minutes(-7 * 1440),
      minutes(-30 * 1440),
      minutes(-400 * 1440),
    ].map((at) => short(at, now)),
  ).toEqual(['00:05', 'Sun', 'Fri', 'Tue', '23 Nov', '31 Oct', '26/10/2025'])
  expect([0, -10, -1440 * 2, -1440 * 400].map((count) => day(minutes(count), now))).toEqual([
    'Today',
    'Yesterday',
    'Saturday 28 November',
    '26 October 2025',
  ])
  expect([0, -1, -59, -90, -1440 * 9].map((count) => past(minutes(count), now))).toEqual([
    'just now',
    '1 minute ago',
    '59 minutes ago',
    'yesterday',
    '21 Nov, 00:05',
  ])
  expect([30, 120, 1440 * 7].map((count) => future(minutes(count), now))).toEqual([
    'in 30 minutes',
    'in 2 hours',
    'in 7 days',
  ])
  expect(exact(minutes(0))).toBe('30 November 2026 at 00:05:00')
  // A clock that runs ahead of the server's does not speak of the future.
  expect(past(minutes(3), now)).toBe('just now')
  expect(daysBetween(new Date(2026, 2, 28, 23, 59), new Date(2026, 2, 29, 23, 59))).toBe(1)
})
