// @vitest-environment happy-dom
// Where one writes: what it does not take, and says so.
import { act } from 'react'
import { expect, test } from 'vitest'
import { Composer } from '../../../src/web/composer/composer.tsx'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

async function composer() {
  const { client, advance, server } = fakeChat()
  const amy = client('amy')
  await advance(500)
  const { element } = await rendered(<Composer other="ben" onSend={() => undefined} />, amy)
  const field = element.querySelector('textarea') as HTMLTextAreaElement
  const fault = () => element.querySelector('[role=alert]')?.textContent
  return { amy, element, field, fault, server, advance }
}

test('a picture that is pasted is refused with a sentence, until one goes on writing', async () => {
  const { amy, field, fault } = await composer()
  const paste = new Event('paste', { bubbles: true, cancelable: true })
  const files = [new File(['x'], 'picture.png', { type: 'image/png' })]
  await act(async () => field.dispatchEvent(Object.assign(paste, { clipboardData: { files } })))
  expect(fault()).toContain('cannot be sent')
  expect(amy.conversation('ben').draft.get()).toBe('')
})

test('while there is no connection one writes as ever', async () => {
  const { server, field, advance } = await composer()
  server.isDown = true
  server.cut()
  await act(() => advance(10_000))
  expect([field.disabled, field.readOnly, field.dir]).toEqual([false, false, 'auto'])
})
