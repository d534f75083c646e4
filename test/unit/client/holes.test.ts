import { expect, test } from 'vitest'
import { ConversationLog } from '../../../src/client/conversation-log.ts'
import { Holes } from '../../../src/client/holes.ts'
import { received } from '../../../src/client/inbox.ts'
import { VirtualClock } from '../../../src/client/testing/index.ts'

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
