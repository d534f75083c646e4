// What a browser keeps a client's rows in, and a chat that leaves it the turns that it takes.
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import { afterAll, beforeEach, vi } from 'vitest'
import { type FakeChat, fakeChat } from './fake-chat.ts'

type Factory = InstanceType<typeof IDBFactory>

/** For the top of a test file: an empty database for each of its tests. */
export function useDatabase(): () => Factory {
  let factory = new IDBFactory()
  beforeEach(() => {
    factory = new IDBFactory()
    vi.stubGlobal('indexedDB', factory)
    vi.stubGlobal('IDBKeyRange', IDBKeyRange)
  })
  // The files that come after this one in the same process have no database.
  afterAll(() => void vi.unstubAllGlobals())
  return () => factory
}

/** The database takes turns of its own, which the clock of the test knows nothing of. */
export function chatWithDatabase(): FakeChat {
  const chat = fakeChat()
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left >= 0; left -= 50) {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      await chat.advance(Math.min(50, left))
    }
  }
  return { ...chat, advance }
}
