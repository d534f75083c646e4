// @vitest-environment happy-dom
// The list of conversations: newest first, except under a pointer, and what each of its rows says.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ConversationList } from '../../../src/web/conversations/list.tsx'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

/** A screen that has room for all of them. */
beforeEach(() => {
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(2000)
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(400)
})
afterEach(() => vi.restoreAllMocks())

const away = () => Promise.reject(new TypeError('away'))

async function listOf(me: string) {
  const { client, server, advance } = fakeChat()
  const amy = client(me, { fetch: away })
  await advance(500)
  for (const from of ['ben', 'cid', 'dan']) {
    server.write(from, me, `hello of ${from}`)
    await advance(500)
  }
  const { element } = await rendered(<ConversationList />, amy)
  const order = (): (string | undefined)[] =>
    [...element.querySelectorAll<HTMLElement>('[data-with]')]
      .toSorted((a, b) => Number(a.dataset['item']) - Number(b.dataset['item']))
      .map(({ dataset }) => dataset['with'])
  const row = (other: string): string => element.querySelector(`[data-with=${other}]`)?.textContent ?? ''
  const write = async (from: string, text: string): Promise<void> => {
    server.write(from, me, text)
    await act(() => advance(1000))
  }
  const point = (type: string, pointerType: string): Promise<void> =>
    act(async () => {
      // React makes entering and leaving of these two.
      element.querySelector('.list')?.dispatchEvent(new PointerEvent(type, { pointerType, bubbles: true }))
    })
  return { amy, element, order, row, write, point }
}

test('newest first; under a mouse nothing moves away, and what is new comes behind', async () => {
  const { order, write, row, point } = await listOf('amy')
  expect(order()).toEqual(['dan', 'cid', 'ben'])
  await write('cid', 'again')
  await vi.waitFor(() => expect(order()).toEqual(['cid', 'dan', 'ben']))
  await point('pointerover', 'mouse')
  await write('ben', 'me too')
  await write('eve', 'who are you?')
  await vi.waitFor(() => expect(order()).toEqual(['cid', 'dan', 'ben', 'eve']))
  expect(row('ben')).toContain('me too')
  await point('pointerout', 'mouse')
  await vi.waitFor(() => expect(order()).toEqual(['eve', 'ben', 'cid', 'dan']))
})

test('a row says the last message, when, how much is unread, a draft, and what became of an own message', async () => {
  const { amy, element, row, write } = await listOf('amy')
  await write('ben', 'two\nlines')
  await vi.waitFor(() => expect(row('ben')).toContain('two lines'))
  const badge = () => element.querySelector('[data-with=ben] .badge')?.textContent
  expect(badge()).toContain('2')
  expect(element.querySelector('[data-with=ben] time')?.getAttribute('datetime')).not.toBe(null)
  expect(element.querySelector('[data-with=ben] .last bdi')).not.toBe(null)
  await act(async () => {
    amy.conversation('cid').draft.set('half a sen')
  })
  await vi.waitFor(() => expect(row('cid')).toContain('Draft: half a sen'))
  amy.conversation('dan').send('from me')
  await write('ben', 'three')
  await vi.waitFor(() => expect(element.querySelector('[data-with=dan] .tick')).not.toBe(null))
})
