import { expect, test } from 'vitest'
import { ConversationLog } from '../../../src/client/conversation-log.ts'
import { Holes } from '../../../src/client/holes.ts'
import { received } from '../../../src/client/inbox.ts'
import { memoryStorage } from '../../../src/client/index.ts'
import { VirtualClock } from '../../../src/client/testing/index.ts'
import { contentsOf, fakeChat } from '../../support/fake-chat.ts'

type Core = ConstructorParameters<typeof Holes>[0]

test('a slice of frames looks at the conversations that wait for something, and not at all there are', async () => {
  const clock = new VirtualClock()
  const asked: string[] = []
  const everyone = (): never => {
    throw new Error('all conversations were looked at')
  }
  const core = {
    clock,
    link: { isWelcomed: true },
    logs: { all: everyone },
    requests: { ask: (question: { with: string }) => asked.push(question.with) },
  }
  const holes = new Holes(
    core as unknown as Core,
    () => undefined,
    () => undefined,
  )
  holes.isSynced = true
  const logs = ['amy', 'cat'].map((other) => new ConversationLog(other, () => 'ben'))
  const [amy] = logs as [ConversationLog, ConversationLog]
  const message = { id: 'x', seq: 3, sender_id: 'amy', receiver_id: 'ben', content: '', created_at: '' }
  amy.take(received(amy.inbox, { ...message, seq: 1 }), true)
  amy.take(received(amy.inbox, message), true)
  for (const log of logs) holes.watch(log, 500)
  holes.check()
  expect(asked).toEqual([])
  // The timers of a hidden page come late: time goes on, and none fires.
  void clock.sleep(600)
  holes.check()
  expect(asked).toEqual(['amy'])
})

test('five hundred that were missed are shown a hundred rows at a time, in their order, with what comes meanwhile', async () => {
  const { server, client, advance } = fakeChat()
  const storage = memoryStorage()
  const contents = Array.from({ length: 501 }, (_, index) => String(index + 1))
  const write = (...some: string[]): void => some.forEach((content) => void server.write('amy', 'ben', content))
  write('1')
  const before = client('ben', { storage })
  void before.conversation('amy').messages.get()
  await advance(1000)
  await before.close()
  write(...contents.slice(1))
  // They come with a page of the history alone.
  server.frameFault = ({ type }) => (type === 'message' ? 'drop' : undefined)
  const ben = client('ben', { storage })
  const { messages } = ben.conversation('amy')
  const counts: number[] = [1]
  messages.subscribe(() => {
    counts.push(messages.get().length)
    if (counts.at(-1) !== 101) return
    server.frameFault = () => undefined
    write('502')
  })
  await advance(2000)
  expect(contentsOf(messages.get())).toEqual([...contents, '502'])
  expect(Math.max(...counts.slice(1).map((count, index) => count - (counts[index] ?? 0)))).toBe(100)
  expect(ben.conversation('amy').summary.get()).toMatchObject({ last_seq: 502, unread: 100 })
  await advance(1000)
  expect(server.log.positions('ben', 'amy').delivered_seq).toBe(502)
})
