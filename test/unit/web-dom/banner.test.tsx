// @vitest-environment happy-dom
// What is said of an outage: to screen readers once, and with a button that stays while it is pressed.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Banner, Outage } from '../../../src/web/app/banner.tsx'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }))
afterEach(() => vi.useRealTimers())

async function pageDuringOutage() {
  const { client, server, advance } = fakeChat()
  // What the page asks for by HTTP when it cannot connect.
  const amy = client('amy', { fetch: () => Promise.reject(new TypeError('away')) })
  await advance(500)
  const pane = (key: string) => (
    <Outage>
      <main key={key}>
        <Banner />
        <textarea />
      </main>
    </Outage>
  )
  const { element, render } = await rendered(pane('ben'), amy)
  const said: string[] = []
  const states = new Set<string>()
  amy.status.subscribe(() => states.add(amy.status.get().state))
  let last = ''
  new MutationObserver(() => {
    const text = [...element.querySelectorAll('[role=status]')].map(({ textContent }) => textContent).join('')
    if (text !== last && text !== '') said.push(text)
    last = text
  }).observe(element, { childList: true, subtree: true, characterData: true })
  const pass = (ms: number): Promise<void> =>
    act(async () => {
      await advance(ms)
      await vi.advanceTimersByTimeAsync(ms)
    })
  const button = (): HTMLButtonElement | null => element.querySelector('.banner button')
  return { server, element, said, states, pass, button, open: (key: string) => render(pane(key)) }
}

test('an outage is told once, however often is tried and whatever is opened meanwhile', async () => {
  const { server, element, said, states, pass, open } = await pageDuringOutage()
  server.isDown = true
  server.cut()
  await pass(2000)
  expect([said, element.querySelector('.banner')]).toEqual([[], null])
  for (let second = 0; second < 60; second += 1) await pass(1000)
  expect(states).toContain('connecting')
  await open('cid')
  expect(element.querySelector('.banner')).not.toBe(null)
  expect(said).toEqual(['No connection. Messages are sent when it is back.'])
  server.isDown = false
  for (let second = 0; second < 40; second += 1) await pass(1000)
  expect(element.querySelector('.banner')).toBe(null)
  server.isDown = true
  server.cut()
  await pass(5000)
  expect(said.length).toBe(2)
})

test('the button keeps the focus while it tries, and hands it on when it is no longer needed', async () => {
  const { server, element, pass, button } = await pageDuringOutage()
  server.isDown = true
  server.cut()
  for (let second = 0; second < 10; second += 1) await pass(1000)
  const pressed = button()
  pressed?.focus()
  await act(async () => pressed?.click())
  expect([document.activeElement === pressed, button() === pressed]).toEqual([true, true])
  server.isDown = false
  for (let second = 0; second < 40; second += 1) await pass(1000)
  expect(button()).toBe(null)
  expect(document.activeElement).toBe(element.querySelector('textarea'))
})

test('whoever may not connect is told so, and can come in again when that is over', async () => {
  const { server, element, said, pass, button } = await pageDuringOutage()
  server.cut(4403)
  await pass(1000)
  const says = 'This account may not connect.'
  expect([said, element.querySelector('.banner > span')?.textContent]).toEqual([[says], says])
  expect(button()?.textContent).toBe('Sign in again')
})
