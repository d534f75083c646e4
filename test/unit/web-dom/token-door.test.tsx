// @vitest-environment happy-dom
// The doors of a server whose tokens come from elsewhere.
import { expect, test } from 'vitest'
import { StrangerDoor } from '../../../src/web/account/token-door.tsx'
import { rendered } from './rendered.tsx'

test('whoever calls themselves like the one who is here is told apart by their id', async () => {
  const [stranger, present] = [
    { id: 'mallory', name: 'Ann Example' },
    { id: 'ann', name: 'Ann Example' },
  ]
  const { element, text } = await rendered(
    <StrangerDoor stranger={stranger} present={present} onAnswer={() => undefined} />,
  )
  expect(element.querySelector('h1')?.textContent).toMatch(/Ann Example.*mallory/)
  expect(text()).toMatch(/signed in here as .*Ann Example.*ann/)
})
