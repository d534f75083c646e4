// A store that fails as told, and time that does not make a test wait.
import type { Clock } from '../../src/lib/clock.ts'
import type { Conversation } from '../../src/messages/conversation.ts'
import {
  CommitError,
  type CommitPath,
  type MessageStore,
  type PageRequest,
  type PendingMessage,
  type PositionChange,
  type Recent,
  StoreUnavailable,
} from '../../src/messages/store.ts'

/** `lost`: committed, but its outcome is never heard. `unsure`: the same words, and nothing was committed. */
export type CommitFault = 'none' | 'aborted' | 'lost' | 'unsure'

/** Counts what is under way, so that a test can wait until nothing is. */
export class Activity {
  underWay = 0

  async during<T>(work: Promise<T>): Promise<T> {
    this.underWay += 1
    try {
      return await work
    } finally {
      this.underWay -= 1
    }
  }

  /** Runs the task in a later turn of the event loop. */
  later(task: () => void): () => void {
    this.underWay += 1
    let isOver = false
    const end = (): void => {
      if (!isOver) this.underWay -= 1
      isOver = true
    }
    const handle = setImmediate(() => {
      end()
      task()
    })
    return () => {
      clearImmediate(handle)
      end()
    }
  }

  /** Resolves once nothing has been under way for some turns in a row. */
  async quiet(): Promise<void> {
    for (let calm = 0; calm < 10; calm = this.underWay === 0 ? calm + 1 : 0) await turn()
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const LONG_MS = 1500

/** Short delays (retries, coalescing) pass in a turn of the event loop; long ones (time-outs of people) never end. */
export function impatientClock(activity: Activity): Clock {
  return {
    now: () => Date.now(),
    after: (delayMs, task) => (delayMs < LONG_MS ? activity.later(task) : () => undefined),
  }
}

/** The real store behind it decides what happens; this one decides what is heard of it. */
export class FaultyStore implements MessageStore {
  readonly #store: MessageStore
  readonly #activity: Activity
  readonly #commitFaults: CommitFault[]
  readonly #readFaults: boolean[]
  readonly met = new Map<string, number>()

  constructor(store: MessageStore, activity: Activity, commitFaults: CommitFault[], readFaults: boolean[]) {
    this.#store = store
    this.#activity = activity
    this.#commitFaults = [...commitFaults]
    this.#readFaults = [...readFaults]
  }

  commit(messages: readonly PendingMessage[], positions: readonly PositionChange[], path: CommitPath) {
    return this.#activity.during(this.#commit(messages, positions, path))
  }

  async #commit(messages: readonly PendingMessage[], positions: readonly PositionChange[], path: CommitPath) {
    const fault = this.#commitFaults.shift() ?? 'none'
    this.met.set(fault, (this.met.get(fault) ?? 0) + 1)
    if (fault === 'aborted') throw new CommitError('aborted', undefined)
    if (fault === 'unsure') throw new CommitError('unknown', undefined)
    const states = await this.#store.commit(messages, positions, path)
    if (fault === 'none') return states
    // As the contract has it: a failed commit leaves the messages as they were.
    for (const message of messages) Object.assign(message, { fate: 'pending', seq: 0, created_at: '' })
    throw new CommitError('unknown', undefined)
  }

  page(conversation: Conversation, request: PageRequest) {
    return this.#read(() => this.#store.page(conversation, request))
  }
  cancelCommit(): void {
    this.#store.cancelCommit()
  }
  recentHeads(users: readonly string[], sinceMs: number) {
    return this.#activity.during(this.#store.recentHeads(users, sinceMs))
  }

  firstSince(recent: readonly Recent[]) {
    return this.#activity.during(this.#store.firstSince(recent))
  }
  backlog(user: string) {
    return this.#read(() => this.#store.backlog(user))
  }
  lastSeq(conversation: Conversation) {
    return this.#activity.during(this.#store.lastSeq(conversation))
  }
  lastSeqs(conversations: readonly Conversation[]) {
    return this.#activity.during(this.#store.lastSeqs(conversations))
  }
  conversations(user: string, limit: number, cursor?: string) {
    return this.#activity.during(this.#store.conversations(user, limit, cursor))
  }
  changes(user: string, since?: number) {
    return this.#activity.during(this.#store.changes(user, since))
  }
  check() {
    return this.#store.check()
  }
  async close() {
    // Whoever made the store closes it.
  }

  #read<T>(read: () => Promise<T>): Promise<T> {
    const fails = this.#readFaults.shift() === true
    return this.#activity.during(fails ? Promise.reject(new StoreUnavailable('as told')) : read())
  }
}
