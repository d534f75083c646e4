import { act } from 'react'
import { expect, test } from 'vitest'
import { ChatError } from '../../../src/client/accounts.ts'
import { type Loaded, useLoaded } from '../../../src/web/account/loaded.ts'
import { rendered } from './rendered.tsx'

/** A question that is answered when the test wants it. */
function question() {
  const waiting: { resolve(answer: string): void; reject(error: Error): void }[] = []
  const ask = (): Promise<string> => new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  const settle = (index: number, answer: string | Error): Promise<void> =>
    act(async () => (typeof answer === 'string' ? waiting[index]?.resolve(answer) : waiting[index]?.reject(answer)))
  return { ask, settle }
}

let loaded: Loaded<string>
function Shown({ ask }: { ask: () => Promise<string> }) {
  loaded = useLoaded(ask)
  return (
    <p>
      {loaded.value ?? 'none'} {loaded.failure?.text}
    </p>
  )
}

test('an answer that comes after the one to a later question is not shown', async () => {
  const [first, second] = [question(), question()]
  const { render, text } = await rendered(<Shown ask={first.ask} />)
  await render(<Shown ask={second.ask} />)
  await second.settle(0, 'of the second')
  expect(text()).toBe('of the second ')
  await first.settle(0, 'of the first')
  expect(text()).toBe('of the second ')
  await act(async () => void loaded.reload())
  await act(async () => void loaded.reload())
  await second.settle(2, 'newest')
  await second.settle(1, 'older')
  expect(text()).toBe('newest ')
})

test('a failure stays with its question, and leaves what was there', async () => {
  const [first, second] = [question(), question()]
  const { render, text } = await rendered(<Shown ask={first.ask} />)
  await first.settle(0, 'there')
  await act(async () => void loaded.reload())
  await first.settle(1, new ChatError({ code: 'forbidden' }))
  expect(text()).toBe('there You may not do this.')
  await render(<Shown ask={second.ask} />)
  expect(text()).toBe('none ')
})
