// @vitest-environment happy-dom
// What a long message shows before it is unfolded.
import { act } from 'react'
import { expect, test } from 'vitest'
import { Text } from '../../../src/web/messages/text.tsx'
import { rendered } from './rendered.tsx'

test('an address that the fold cuts is no link until the message is unfolded', async () => {
  const start = `https://one.example ${'x'.repeat(1460)} `
  // The first 1500 letters end behind "https://bank.com".
  const content = `${start}${' '.repeat(1500 - start.length - 16)}https://bank.com.evil.example/login`
  const { element } = await rendered(<Text id="long" content={content} />)
  const hosts = (): string[] => [...element.querySelectorAll('a')].map(({ href }) => new URL(href).hostname)
  expect(hosts()).toEqual(['one.example'])
  await act(async () => element.querySelector('button')?.click())
  expect(hosts()).toEqual(['one.example', 'bank.com.evil.example'])
})
