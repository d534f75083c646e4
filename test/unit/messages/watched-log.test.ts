import { beforeEach, expect, test } from 'vitest'
import { CommitError, type CommitFailure, type MessageLog } from '../../../src/messages/store.ts'
import { WatchedLog } from '../../../src/messages/watched-log.ts'
import { FakeClock } from '../../support/fake-clock.ts'

let clock: FakeClock
let outcome: () => Promise<never[]>
let log: WatchedLog

beforeEach(() => {
  clock = new FakeClock()
  outcome = async () => []
  const inner: MessageLog = {
    commit: () => outcome(),
    cancelCommit: () => undefined,
    check: async () => undefined,
    close: async () => undefined,
  }
  log = new WatchedLog(inner, clock)
})

function fails(failure: CommitFailure): void {
  outcome = () => Promise.reject(new CommitError(failure, new Error('no space left')))
}

test.each(['aborted', 'denied', 'unknown'] as const)(
  'a commit that is %s is remembered with the time of the latest attempt, until one succeeds',
  async (failure) => {
    expect(log.failure).toBe(undefined)
    fails(failure)
    await expect(log.commit([], [], 'fast')).rejects.toThrow(CommitError)
    await clock.advance(500)
    await expect(log.commit([], [], 'fast')).rejects.toThrow(CommitError)
    expect(log.failure).toEqual({ reason: 'no space left', atMs: clock.now() })
    outcome = async () => []
    await log.commit([], [], 'fast')
    expect(log.failure).toBe(undefined)
  },
)

test('what fails in an unforeseen way is remembered too', async () => {
  outcome = () => Promise.reject(new Error('a bug'))
  await expect(log.commit([], [], 'fast')).rejects.toThrow('a bug')
  expect(log.failure?.reason).toBe('a bug')
})

test.each(['duplicate', 'rejected', 'refused'] as const)(
  'a commit that is %s is no failure of the store',
  async (failure) => {
    fails(failure)
    await expect(log.commit([], [], 'fast')).rejects.toThrow(CommitError)
    expect(log.failure).toBe(undefined)
  },
)
