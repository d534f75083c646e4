// A replay is asked for what a page that is being read is too old to hold.
import { expect, test } from 'vitest'
import { Replay } from '../../../src/delivery/replay.ts'
import { StoredPages } from '../../../src/delivery/stored-pages.ts'
import { WrittenRanges } from '../../../src/delivery/written-ranges.ts'
import { MemoryMessageStore } from '../../../src/messages/store.memory.ts'
import type { MessageReads, Page } from '../../../src/messages/store.ts'
import { pendingMessage } from '../../support/builders.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

test.each([
  ['before it arrives', 2],
  ['with a start that it holds', 3],
  ['with a start that was never sent', 4],
])('everything stored reaches the socket, asked for while an older page is on its way, %s', async (_when, fromSeq) => {
  const clock = new FakeClock()
  const store = new MemoryMessageStore(() => clock.now())
  const commit = () => store.commit([pendingMessage('bob', 'ann')], [], 'fast')
  for (let count = 0; count < 3; count += 1) await commit()
  const arrivals: (() => void)[] = []
  const slow: Pick<MessageReads, 'page' | 'backlog'> = {
    backlog: (user) => store.backlog(user),
    async page(conversation, request): Promise<Page> {
      const page = await store.page(conversation, request)
      await new Promise<void>((resolve) => arrivals.push(resolve))
      return page
    },
  }
  const sent: number[] = []
  let isDone = false
  const replay = new Replay(
    new StoredPages(slow, clock, 1),
    {
      userId: 'ann',
      isOpen: true,
      keepsAll: true,
      willReplayUpTo: () => undefined,
      replayed: ({ seq }) => sent.push(seq),
      room: async () => undefined,
      upToDate: () => {
        isDone = true
      },
    },
    new WrittenRanges(),
  )
  replay.bring('bob', 2)
  const running = replay.run()
  await settled()
  // The page ends at 3; by the time in which the store is compared, it holds 5.
  for (let count = 0; count < 2; count += 1) await commit()
  replay.bring('bob', fromSeq)
  while (!isDone) {
    arrivals.shift()?.()
    await settled()
  }
  await running
  expect(sent).toEqual([2, 3, 4, 5])
})
