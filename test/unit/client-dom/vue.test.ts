import { describe, expect, onTestFinished, test } from 'vitest'
import { type App, createApp, effectScope, h, nextTick, type Ref, ref } from 'vue'
import type { Client, MessageItem } from '../../../src/client/index.ts'
import {
  clientKey,
  useConversations,
  useDraft,
  useMessage,
  useMessages,
  usePresence,
  useStatus,
  useStore,
  useTyping,
  useUser,
} from '../../../src/client/vue.ts'
import { fakeChat } from '../../support/fake-chat.ts'

function mount(client: Client, setup: () => () => unknown): { readonly app: App; readonly text: () => string } {
  const element = document.createElement('div')
  const app = createApp({ setup })
  app.provide(clientKey, client)
  app.mount(element)
  onTestFinished(() => app.unmount())
  return { app, text: () => element.textContent ?? '' }
}

/** Which components were rendered, in order. */
let renders: string[] = []

function Row(props: { readonly row: MessageItem }): unknown {
  renders.push(props.row.content)
  return h('li', `${props.row.content} ${props.row.state};`)
}
Row.props = ['row']

describe('Vue composables', () => {
  test('a new message renders the list and one row, and an acknowledgement only the row it belongs to', async () => {
    const { client, server, advance } = fakeChat()
    for (const text of ['one', 'two', 'three']) server.write('ben', 'amy', text)
    const amy = client('amy')
    const { text } = mount(amy, () => {
      const rows = useMessages('ben')
      return () => {
        renders.push('list')
        return rows.value.map((row) => h(Row, { key: row.id, row }))
      }
    })
    await advance(2000)
    expect(text()).toBe('one received;two received;three received;')
    renders = []
    server.write('ben', 'amy', 'four')
    await advance(2000)
    expect(renders).toEqual(['list', 'four'])
    renders = []
    amy.conversation('ben').send('five')
    await advance(2000)
    expect(text()).toMatch(/four received;five sent;$/)
    expect([...new Set(renders)].sort()).toEqual(['five', 'list'])
  })

  test('every composable shows what its store holds, and follows to another person', async () => {
    const { client, server, advance } = fakeChat()
    const users = [{ user_id: 'ben', display_name: 'Ben' }]
    const fetch = async () => ({ status: 200, ok: true, headers: new Headers(), json: async () => ({ users }) })
    const [amy, ben] = [client('amy', { fetch }), client('ben')]
    const { id } = server.write('ben', 'amy', 'one')
    const other = ref('ben')
    const { text } = mount(amy, () => {
      const [status, list, pending] = [useStatus(), useConversations(), useStore(amy.pending)]
      const [presence, typing, user] = [usePresence(other), useTyping(other), useUser(other)]
      const [draft, row] = [useDraft(other), useMessage(other, id)]
      return () => {
        const person = [presence.value.status, typing.value, user.value?.display_name, draft.value, row.value?.content]
        return [status.value.state, list.value.length, pending.value, ...person].join(' ')
      }
    })
    expect(text()).toBe('idle 0 0 unknown false   ')
    amy.conversation('ben').draft.set('hi')
    await advance(1000)
    ben.conversation('amy').typing()
    await advance(1000)
    expect(text()).toBe('live 1 0 online true Ben hi one')
    other.value = 'cleo'
    await advance(1000)
    expect(text()).toBe('live 1 0 offline false   ')
    expect(amy.presence('ben')).toMatchObject({ isWatched: false })
    expect(server.socketCount).toBe(2)
  })

  test('a draft is there at once when it is written, and takes what another tab has typed', async () => {
    const { client, advance } = fakeChat()
    const amy = client('amy')
    const drafts: Ref<string>[] = []
    const { text } = mount(amy, () => {
      const draft = useDraft('ben')
      drafts.push(draft)
      return () => draft.value
    })
    for (const draft of drafts) draft.value = 'hello'
    expect(drafts.map(({ value }) => value)).toEqual(['hello'])
    await nextTick()
    expect(text()).toBe('hello')
    expect(amy.conversation('ben').draft.get()).toBe('hello')
    amy.conversation('ben').draft.set('from elsewhere')
    await advance(10)
    expect(text()).toBe('from elsewhere')
  })

  test('nothing is watched any more when the app or the scope has ended', async () => {
    const { client, server, advance } = fakeChat()
    const amy = client('amy')
    const { app } = mount(amy, () => {
      const [rows, presence] = [useMessages('ben'), usePresence('ben')]
      return () => `${rows.value.length} ${presence.value.status}`
    })
    const scope = effectScope()
    const pending = scope.run(() => useStore(() => amy.pending))
    await advance(1000)
    expect(amy.conversation('ben').messages).toMatchObject({ isWatched: true })
    app.unmount()
    scope.stop()
    await advance(1000)
    for (const store of [amy.conversation('ben').messages, amy.presence('ben'), amy.pending])
      expect(store).toMatchObject({ isWatched: false })
    amy.conversation('ben').send('later')
    expect(pending?.value).toBe(0)
    expect(server.openCount).toBe(1)
  })

  test('without a client the composables say what is missing', () => {
    const app = createApp({ setup: () => () => useStatus().value.state })
    app.config.warnHandler = () => undefined
    expect(() => app.mount(document.createElement('div'))).toThrow('No client is provided')
  })
})
