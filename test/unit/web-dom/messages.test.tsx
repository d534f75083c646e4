// What a conversation tells beside its rows: what is new, what is said aloud, what was read, and what can be done about a failure.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { useMessages } from '../../../src/client/react.ts'
import { Announcer } from '../../../src/web/messages/announcer.tsx'
import { dividedAt, useDivider } from '../../../src/web/messages/divider.ts'
import { Failure } from '../../../src/web/messages/failure.tsx'
import { useReading } from '../../../src/web/messages/reading.ts'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('each message is said, also one that says the same as the one before', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  await advance(500)
  const { element } = await rendered(<Announcer other="ben" name="Ben" />, amy)
  const said: string[] = []
  const listen = new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) said.push(node.textContent ?? '')
  })
  listen.observe(element, { childList: true, subtree: true })
  for (const text of ['ok', 'ok', 'fine']) {
    server.write('ben', 'amy', text)
    await act(async () => {
      await advance(500)
      await vi.advanceTimersByTimeAsync(1500)
    })
  }
  for (const text of ['one', 'two']) server.write('ben', 'amy', text)
  await act(async () => {
    await advance(500)
    await vi.advanceTimersByTimeAsync(1500)
  })
  expect(said).toEqual(['Ben: ok', 'Ben: ok', 'Ben: fine', '2 new messages from Ben'])
})

test.each([1, 2, 5])('what came while the person looked away begins with a line, of %i messages', async (count) => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  function Lines() {
    const { after } = useDivider('ben')
    return <p>{dividedAt(useMessages('ben'), 'amy', after)}</p>
  }
  server.write('ben', 'amy', 'seen')
  await advance(500)
  const { messages, markRead } = amy.conversation('ben')
  const { text } = await rendered(<Lines />, amy)
  await act(() => advance(500))
  await act(async () => markRead(1))
  expect([messages.get().length, text()]).toEqual([1, '-1'])
  vi.spyOn(document, 'hasFocus').mockReturnValue(false)
  await act(async () => dispatchEvent(new Event('blur')))
  for (let n = 0; n < count; n += 1) server.write('ben', 'amy', `new ${n}`)
  await act(() => advance(500))
  expect(text()).toBe('1')
})

test('while messages pour in, those that were in sight for a moment are read', async () => {
  const { client } = fakeChat()
  const conversation = client('amy').conversation('ben')
  const read: number[] = []
  const watched = { ...conversation, messages: conversation.messages, markRead: (seq: number) => void read.push(seq) }
  function Reading({ seq }: { seq: number }) {
    useReading(watched, seq)
    return null
  }
  const { render } = await rendered(<Reading seq={1} />)
  for (let seq = 2; seq <= 20; seq += 1) {
    await vi.advanceTimersByTimeAsync(50)
    await render(<Reading seq={seq} />)
  }
  await vi.advanceTimersByTimeAsync(1000)
  expect(read).toEqual([1, 6, 12, 18, 20])
})

test('what may be stored can be tried again and dropped, and is edited only when it certainly is not', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  const { send, draft, messages } = amy.conversation('ben')
  await advance(500)
  server.sendFault = () => ({ error: 'not_accepted' })
  send('refused')
  await advance(500)
  const [row] = messages.get()
  if (!row) throw new Error('the row has vanished')
  const { element, render, text } = await rendered(<Failure row={row} />, amy)
  const buttons = (): string[] => [...element.querySelectorAll('button')].map(({ textContent }) => textContent ?? '')
  expect([text().split('.')[0], buttons()]).toEqual([
    'Not sent: this person takes no messages from you',
    ['Retry', 'Edit', 'Delete'],
  ])
  const { isUnstored: _, ...unknown } = row
  await render(<Failure row={{ ...unknown, code: 'rejected_by_transport' }} />)
  expect(buttons()).toEqual(['Retry', 'Delete'])
  await render(<Failure row={row} />)
  await act(async () => element.querySelectorAll('button')[1]?.click())
  expect([draft.get(), messages.get()]).toEqual(['refused', []])
})
