import { act, memo, type ReactElement, type ReactNode, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Client, MessageItem } from '../../../src/client/index.ts'
import {
  ClientProvider,
  useClient,
  useConversations,
  useDraft,
  useMessage,
  useMessages,
  usePresence,
  useStatus,
  useStore,
  useTyping,
  useUser,
} from '../../../src/client/react.ts'
import { fakeChat } from '../../support/fake-chat.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

/** Which components were rendered, in order. */
let renders: string[] = []
beforeEach(() => {
  renders = []
})

const Row = memo(({ row }: { row: MessageItem }) => {
  renders.push(row.content)
  return <li>{`${row.content} ${row.state};`}</li>
})

function List(): ReactElement {
  renders.push('list')
  return (
    <ul>
      {useMessages('ben').map((row) => (
        <Row key={row.id} row={row} />
      ))}
    </ul>
  )
}

function RowById({ id }: { id: string }): ReactElement {
  renders.push('row')
  return <p>{useMessage('ben', id)?.content ?? 'none'}</p>
}

function Person(): ReactElement {
  return <p>{usePresence('ben').status}</p>
}

function EveryStore({ other }: { other: string }): ReactElement {
  const client = useClient()
  const [draft] = useDraft(other)
  const person = [usePresence(other).status, useTyping(other), useUser(other)?.display_name, draft]
  return <p>{[useStatus().state, useConversations().length, useStore(client.pending), ...person].join(' ')}</p>
}

function Box(): ReactElement {
  const [text, setText] = useDraft('ben')
  return <input value={text} onChange={({ currentTarget }) => setText(currentTarget.value)} />
}

interface Page {
  readonly element: HTMLElement
  readonly render: (children: ReactNode) => Promise<void>
  readonly unmount: () => Promise<void>
  readonly text: () => string
}

function page(
  client: Client,
  Wrapper: (props: { children: ReactNode }) => ReactNode = ({ children }) => children,
): Page {
  const element = document.createElement('div')
  document.body.append(element)
  const root = createRoot(element)
  const unmount = (): Promise<void> => act(async () => root.unmount())
  onTestFinished(async () => {
    await unmount()
    element.remove()
  })
  const render = (children: ReactNode): Promise<void> =>
    act(async () =>
      root.render(
        <Wrapper>
          <ClientProvider client={client}>{children}</ClientProvider>
        </Wrapper>,
      ),
    )
  return { element, render, unmount, text: () => element.textContent ?? '' }
}

describe('React hooks', () => {
  test('a new message renders the list and one row, and an acknowledgement only the row it belongs to', async () => {
    const { client, server, advance } = fakeChat()
    for (const text of ['one', 'two', 'three']) server.write('ben', 'amy', text)
    const amy = client('amy')
    const { render, text } = page(amy)
    await render(<List />)
    await act(() => advance(2000))
    expect(text()).toBe('one received;two received;three received;')
    renders = []
    server.write('ben', 'amy', 'four')
    await act(() => advance(2000))
    expect(renders).toEqual(['list', 'four'])
    renders = []
    await act(async () => {
      amy.conversation('ben').send('five')
      await advance(2000)
    })
    expect(text()).toMatch(/four received;five sent;$/)
    expect([...new Set(renders)].sort()).toEqual(['five', 'list'])
  })

  test('a row that looks itself up is rendered for its own changes alone', async () => {
    const { client, server, advance } = fakeChat()
    const { id } = server.write('ben', 'amy', 'mine')
    const amy = client('amy')
    const { render, text } = page(amy)
    await render(<RowById id={id} />)
    expect(text()).toBe('none')
    await act(() => advance(2000))
    expect(text()).toBe('mine')
    renders = []
    server.write('ben', 'amy', 'another')
    await act(() => advance(2000))
    expect(amy.conversation('ben').messages.get()).toHaveLength(2)
    expect(renders).toEqual([])
  })

  test('under StrictMode there is one socket, each row once, and nothing is watched after the end', async () => {
    const { client, server, advance } = fakeChat()
    server.write('ben', 'amy', 'one')
    const amy = client('amy')
    const { render, unmount, text } = page(amy, ({ children }) => <StrictMode>{children}</StrictMode>)
    await render([<List key="list" />, <Person key="person" />])
    await act(() => advance(2000))
    server.write('ben', 'amy', 'two')
    await act(() => advance(2000))
    expect(text()).toBe('one received;two received;offline')
    expect(server.socketCount).toBe(1)
    expect(amy.presence('ben')).toMatchObject({ isWatched: true })
    await unmount()
    await advance(1000)
    for (const store of [amy.conversation('ben').messages, amy.presence('ben')])
      expect(store).toMatchObject({ isWatched: false })
    expect(server.commands.at(-1)?.command).toMatchObject({ type: 'unwatch', user_ids: ['ben'] })
    expect(server.openCount).toBe(1)
  })

  test('under StrictMode a hundred reconnects leave one connection, and each message is told and shown once', async () => {
    const { client, server, advance } = fakeChat()
    const amy = client('amy')
    const messages: string[] = []
    amy.on('message', ({ content }) => messages.push(content))
    const { render, text } = page(amy, ({ children }) => <StrictMode>{children}</StrictMode>)
    await render(<List />)
    await act(() => advance(1000))
    for (let cut = 0; cut < 100; cut += 1) {
      server.cut(1006, 'amy')
      await advance(60_000)
    }
    expect(server.socketCount).toBeGreaterThan(100)
    expect(server.openCount).toBe(1)
    server.write('ben', 'amy', 'once')
    await act(() => advance(1000))
    expect(messages).toEqual(['once'])
    expect(text()).toBe('once received;')
  })

  test('every hook shows what its store holds, and follows to another person', async () => {
    const { client, advance } = fakeChat()
    const users = [{ user_id: 'ben', display_name: 'Ben' }]
    const fetch = async () => ({ status: 200, ok: true, headers: new Headers(), json: async () => ({ users }) })
    const [amy, ben] = [client('amy', { fetch }), client('ben')]
    const { render, text } = page(amy)
    await render(<EveryStore other="ben" />)
    expect(text()).toBe('idle 0 0 unknown false  ')
    amy.conversation('ben').draft.set('hi')
    await act(() => advance(1000))
    ben.conversation('amy').typing()
    await act(() => advance(1000))
    expect(text()).toBe('live 1 0 online true Ben hi')
    await render(<EveryStore other="cleo" />)
    await act(() => advance(1000))
    expect(text()).toBe('live 1 0 offline false  ')
  })

  test('a controlled input keeps what is typed at once, and takes what another tab has typed', async () => {
    const { client, advance } = fakeChat()
    const amy = client('amy')
    const { render, element } = page(amy)
    await render(<Box />)
    const input = element.querySelector('input')
    if (!input) throw new Error('there is no input')
    // No time passes: the store has not told anybody yet.
    await act(async () => type(input, 'hello'))
    expect(input.value).toBe('hello')
    expect(amy.conversation('ben').draft.get()).toBe('hello')
    amy.conversation('ben').draft.set('from elsewhere')
    await act(() => advance(10))
    expect(input.value).toBe('from elsewhere')
  })

  test('without a provider the hooks say what is missing', async () => {
    const root = createRoot(document.createElement('div'))
    const rendered = act(async () => root.render(<List />))
    await expect(rendered).rejects.toThrow('There is no <ClientProvider> around this component.')
  })
})

/** As a person does: React watches the value that is set through the element itself. */
function type(input: HTMLInputElement, text: string): void {
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value')?.set?.call(input, text)
  input.dispatchEvent(new Event('input', { bubbles: true }))
}
