// @vitest-environment happy-dom
import { act } from 'react'
import { afterEach, expect, test, vi } from 'vitest'
import { ChatError } from '../../../src/client/accounts.ts'
import { useAction } from '../../../src/web/account/action.ts'
import { useConfirmed } from '../../../src/web/account/again.tsx'
import { rendered } from './rendered.tsx'

afterEach(() => vi.unstubAllGlobals())

const REFUSAL = new ChatError({ code: 'reauthentication_required' })

function Shown({ task }: { task: () => Promise<void> }) {
  const action = useAction()
  const confirmed = useConfirmed('ann', action)
  return (
    <>
      <button type="button" id="go" onClick={() => void confirmed.run(task)}>
        go
      </button>
      <p>{action.failure?.text}</p>
      {confirmed.dialog}
    </>
  )
}

test('what needs a login of a moment ago is done once the password was given, and asked for no more', async () => {
  const calls: string[] = []
  vi.stubGlobal('fetch', async (url: string | URL, { body }: { body: string }) => {
    calls.push(`${new URL(String(url), 'http://x').pathname} ${body}`)
    return Response.json({ user: {}, token: 't', expires_at: new Date().toISOString() })
  })
  const outcomes = [() => Promise.reject(REFUSAL), () => Promise.resolve()]
  const task = vi.fn(() => outcomes.shift()?.() ?? Promise.reject(new Error('once too often')))
  const { element } = await rendered(<Shown task={task} />)
  await act(async () => element.querySelector<HTMLButtonElement>('#go')?.click())
  const field = element.querySelector<HTMLInputElement>('input[type=password]')
  await act(async () => {
    // React looks at what the element's own setter was told.
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field, 'correct horse')
    field?.dispatchEvent(new Event('input', { bubbles: true }))
  })
  await act(async () => element.querySelector<HTMLButtonElement>('dialog [type=submit]')?.click())
  await expect.poll(() => task.mock.calls.length).toBe(2)
  expect(calls).toEqual([expect.stringMatching(/^\/api\/auth\/login .*"correct horse"/)])
  expect(element.querySelector('dialog')).toBeNull()
})

test('another refusal is told, and asks for no password', async () => {
  const task = () => Promise.reject(new ChatError({ code: 'forbidden' }))
  const { element, text } = await rendered(<Shown task={task} />)
  await act(async () => element.querySelector<HTMLButtonElement>('#go')?.click())
  expect([text(), element.querySelector('dialog')]).toEqual(['goYou may not do this.', null])
})
