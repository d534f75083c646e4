import { afterAll, beforeAll, describe } from 'vitest'
import type { MessageStore } from '../../src/messages/store.ts'
import { describeCommits } from './message-store-commits.ts'
import { describeDuplicates } from './message-store-duplicates.ts'
import { describePositions } from './message-store-positions.ts'
import { describeReads } from './message-store-reads.ts'

export interface StoreUnderTest {
  readonly store: MessageStore
  close(): Promise<void>
}

/** What every message store guarantees. The store is shared by the tests, so each speaks of people of its own. */
export function describeMessageStore(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`the ${name} message store`, () => {
    let opened: StoreUnderTest | undefined
    const store = (): MessageStore => {
      if (!opened) throw new Error('the store is not open')
      return opened.store
    }
    beforeAll(async () => {
      opened = await create()
    })
    afterAll(() => opened?.close())

    describeCommits(store)
    describeDuplicates(store)
    describePositions(store)
    describeReads(store)
  })
}
