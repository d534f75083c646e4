// @vitest-environment happy-dom
// Where a conversation is opened: at the first message that is new, from however far above it has to be fetched.
import { act } from 'react'
import { expect, test } from 'vitest'
import type { Client } from '../../../src/client/index.ts'
import { useMessages } from '../../../src/client/react.ts'
import { useDivider } from '../../../src/web/messages/divider.ts'
import type { MessageList } from '../../../src/web/messages/message-list.ts'
import { useOpening } from '../../../src/web/messages/opening.ts'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

const NO_SCREEN = { current: null }

/** Where the list has been scrolled to: `seq` of the row at the top, or 'end'. */
async function opened(client: Client, advance: (ms: number) => Promise<void>) {
  const went: (number | string | undefined)[] = []
  const mayRead: boolean[] = []
  const conversation = client.conversation('ben')
  function Opening() {
    const rows = useMessages('ben')
    const list = {
      scrollToIndex: (index: number) => void went.push(rows[index]?.seq),
      scrollToEnd: () => void went.push('end'),
    } as unknown as MessageList
    const divider = useDivider('ben')
    mayRead.push(useOpening({ rows, list, scroller: NO_SCREEN, me: 'amy', divider, conversation }))
    return <p>{divider.after ?? 'nothing new'}</p>
  }
  const { text } = await rendered(<Opening />, client)
  for (let step = 0; step < 20; step += 1) await act(() => advance(200))
  return { went, mayRead, text }
}

/** A first device of amy has read so many of them; a second one is opened for the first time. */
async function secondDevice(count: number, readTo: number) {
  const { client, server, advance } = fakeChat()
  const first = client('amy')
  first.conversation('ben').messages.subscribe(() => undefined)
  await advance(500)
  for (let n = 1; n <= count; n += 1) server.write('ben', 'amy', `message ${n}`)
  await advance(2000)
  if (readTo > 0) first.conversation('ben').markRead(readTo)
  await advance(2000)
  await first.close()
  const second = client('amy')
  await advance(2000)
  return { second, advance }
}

test.each([
  { count: 30, readTo: 10, top: 11 },
  { count: 180, readTo: 20, top: 21 },
  { count: 120, readTo: 0, top: 1 },
  { count: 3, readTo: 0, top: 1 },
  { count: 30, readTo: 30, top: 'end' },
])('of $count, $readTo of them read, it opens at $top', async ({ count, readTo, top }) => {
  const { second, advance } = await secondDevice(count, readTo)
  const { went, mayRead, text } = await opened(second, advance)
  expect([went, text()]).toEqual([[top], top === 'end' ? 'nothing new' : `${readTo}`])
  expect(mayRead.at(-1)).toBe(true)
})

test('nothing counts as read while what is new is being fetched', async () => {
  const { second, advance } = await secondDevice(180, 20)
  const { mayRead } = await opened(second, advance)
  expect(mayRead.indexOf(true)).toBeGreaterThan(0)
  expect(mayRead.slice(mayRead.indexOf(true))).not.toContain(false)
})

test('what comes first into an empty conversation that one looks at is not new', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  await advance(500)
  const { text } = await opened(amy, async (ms) => {
    await advance(ms)
    if (amy.conversation('ben').messages.get().length === 0 && amy.status.get().state === 'live')
      server.write('ben', 'amy', 'hello')
  })
  expect(text()).toBe('nothing new')
})
