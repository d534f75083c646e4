// @vitest-environment happy-dom
// One message as it is shown: what was written as text and nothing else, when, and what screen readers are told of it.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { MessageItem } from '../../../src/client/index.ts'
import { MessageRow } from '../../../src/web/messages/row.tsx'
import { isEmoji, Text } from '../../../src/web/messages/text.tsx'
import { useHour } from '../../../src/web/parts/now.ts'
import { formats } from '../../../src/web/texts/index.ts'
import { rendered } from './rendered.tsx'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => vi.useRealTimers())

const item = (content: string, more: Partial<MessageItem> = {}): MessageItem => ({
  ...{ id: `m ${content.slice(0, 20)}`, seq: 7, sender_id: 'ben', receiver_id: 'amy', content, state: 'received' },
  created_at: '2026-11-29T14:02:30.000Z',
  ...more,
})
const shown = (row: MessageItem) =>
  rendered(
    <MessageRow
      {...{ row, name: 'Ben', isMine: false, isFirst: true, isLast: true, isStop: true }}
      day={undefined}
      isDivided={false}
    />,
  )

test('what looks like markup is text', async () => {
  const content = '<img src=x onerror=alert(1)> <b>bold</b> &amp;'
  const { element } = await shown(item(content))
  expect(element.querySelector('img, b')).toBe(null)
  expect(element.querySelector('.text')?.firstChild?.textContent).toBe(content)
})

test('a link opens elsewhere, and tells nothing of this page', async () => {
  const { element } = await shown(item('see https://example.com/a and mail@example.com'))
  for (const link of element.querySelectorAll('a'))
    expect([link.target, link.rel]).toEqual(['_blank', 'noopener noreferrer nofollow'])
  expect(element.querySelectorAll('a').length).toBe(2)
})

test('marks that are piled up on a letter are few', async () => {
  const { text } = await rendered(<Text id="piled" content={`a${'\u0301'.repeat(40)}b नि`} />)
  expect(text()).toBe(`a${'\u0301'.repeat(5)}b नि`)
})

test.each([
  ['lines', '\n'.repeat(24), '\n'.repeat(25)],
  ['letters', 'x'.repeat(1500), 'x'.repeat(1501)],
])('of more than so many %s the rest is folded away', async (_what, most, more) => {
  for (const [content, isFolded] of [
    [`${most}`, false],
    [`${more}end`, true],
  ] as const) {
    const { element, text } = await rendered(<Text id={content} content={content} />)
    const button = element.querySelector('button')
    expect([button !== null, text().includes('end')]).toEqual([isFolded, false])
    await act(async () => button?.click())
    expect(text()).toBe(content)
  }
})

test('a message says who, when, what and its place, in the direction of its own letters', async () => {
  const { element } = await shown(item('שלום'))
  const article = element.querySelector('article')
  const attribute = (name: string) => article?.getAttribute(name)
  expect([attribute('aria-setsize'), attribute('aria-posinset'), attribute('tabindex')]).toEqual(['-1', '7', '0'])
  const when = formats().clock(new Date('2026-11-29T14:02:30.000Z'))
  expect(attribute('aria-label')).toBe(`Ben, ${when}, שלום`)
  expect(element.querySelector('.text')?.getAttribute('dir')).toBe('auto')
  const time = element.querySelector('time')
  expect([time?.getAttribute('datetime'), time?.title]).toEqual(['2026-11-29T14:02:30.000Z', attribute('data-exact')])
})

test.each([
  ...['👍', '👍🏽', '✌🏽', '❤️', '🏳️‍🌈', '🏴‍☠️', '👩‍❤️‍💋‍👩', '1️⃣', '🇩🇪🇫🇷🇮🇹', '🎉🎉🎉', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '👁️‍🗨️', '🧑🏽‍🤝‍🧑🏿', '☺️'].map(
    (text) => [text, true] as const,
  ),
  ...['🎉🎉🎉🎉', '12', '#', '©', 'hi🎉', '🎉 🎉', '好', 'שלום', '☺', ''].map((text) => [text, false] as const),
])('whether "%s" is a few emoji alone, which are shown large: %s', (text, isFew) => {
  expect(isEmoji(text)).toBe(isFew)
})

test('at midnight what was of today is of yesterday', async () => {
  vi.setSystemTime(new Date(2026, 10, 29, 23, 59, 50))
  function Day() {
    return <p>{formats().day(new Date(2026, 10, 29, 12), useHour())}</p>
  }
  const { text } = await rendered(<Day />)
  expect(text()).toBe('Today')
  await act(() => vi.advanceTimersByTimeAsync(11_000))
  expect(text()).toBe('Yesterday')
})
