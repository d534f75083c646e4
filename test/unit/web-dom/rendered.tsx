// Parts of the page in a document without a screen.
import { act, type ReactNode } from 'react'
import { createRoot } from 'react-dom/client'
import { onTestFinished } from 'vitest'
import type { Client } from '../../../src/client/index.ts'
import { ClientProvider } from '../../../src/client/react.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

/** Renders it, and again whatever is passed later. */
export async function rendered(children: ReactNode, client?: Client) {
  const element = document.createElement('div')
  document.body.append(element)
  const root = createRoot(element)
  onTestFinished(async () => {
    await act(async () => root.unmount())
    element.remove()
  })
  const render = (present: ReactNode): Promise<void> =>
    act(async () => root.render(client ? <ClientProvider client={client}>{present}</ClientProvider> : present))
  await render(children)
  return { element, render, text: () => element.textContent ?? '' }
}
