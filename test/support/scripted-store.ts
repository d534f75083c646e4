import type { Conversation } from '../../src/messages/conversation.ts'
import { MemoryMessageStore } from '../../src/messages/store.memory.ts'
import {
  CommitError,
  type CommitPath,
  type MessageStore,
  type Page,
  type PageRequest,
  type PendingMessage,
  type PositionChange,
  type Recent,
  StoreUnavailable,
} from '../../src/messages/store.ts'

/** What becomes of a commit. `unknown-stored` and `unknown-lost`: COMMIT was sent, its answer never came. */
export type Outcome = 'ok' | 'aborted' | 'unknown-stored' | 'unknown-lost' | 'hang' | 'bug'

export interface CommitCall {
  readonly contents: readonly string[]
  readonly positions: readonly PositionChange[]
  readonly path: CommitPath
}

/** The memory store, told to fail. Text that holds `bad` is refused, as PostgreSQL refuses what it cannot hold. */
export class ScriptedStore implements MessageStore {
  /** Outcomes of the commits to come; `ok` when there is none. */
  readonly outcomes: Outcome[] = []
  readonly calls: CommitCall[] = []
  /** How many of the next reads of pages and backlogs fail. */
  failingReads = 0
  readonly #memory: MemoryMessageStore
  readonly #hanging: ((outcome: Outcome) => void)[] = []

  constructor(now: () => number = () => 0) {
    this.#memory = new MemoryMessageStore(now)
  }

  /** Lets the commit that hangs go on. */
  release(outcome: Outcome = 'ok'): void {
    const next = this.#hanging.shift()
    if (!next) throw new Error('no commit hangs')
    next(outcome)
  }

  async commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]> {
    this.calls.push({ contents: messages.map(({ content }) => content), positions, path })
    let outcome = this.outcomes.shift() ?? 'ok'
    if (outcome === 'hang') outcome = await new Promise<Outcome>((resolve) => this.#hanging.push(resolve))
    if (outcome === 'bug') throw new TypeError('a bug')
    if (outcome === 'aborted') throw new CommitError('aborted', undefined)
    const isRefused = messages.some(({ content }) => content.includes('bad'))
    if (outcome === 'unknown-stored' && !isRefused) {
      await this.#memory.commit(
        messages.map((message) => ({ ...message })),
        positions,
        path,
      )
    }
    if (outcome !== 'ok') throw new CommitError('unknown', undefined)
    if (isRefused) throw new CommitError('rejected', undefined)
    return this.#memory.commit(messages, positions, path)
  }

  page(conversation: Conversation, request: PageRequest): Promise<Page> {
    return this.#read(() => this.#memory.page(conversation, request))
  }
  cancelCommit(): void {
    this.#memory.cancelCommit()
  }
  recentHeads(users: readonly string[], sinceMs: number) {
    return this.#memory.recentHeads(users, sinceMs)
  }

  firstSince(recent: readonly Recent[]) {
    return this.#memory.firstSince(recent)
  }
  backlog(user: string) {
    return this.#read(() => this.#memory.backlog(user))
  }
  lastSeq(conversation: Conversation) {
    return this.#read(() => this.#memory.lastSeq(conversation))
  }
  lastSeqs(conversations: readonly Conversation[]) {
    return this.#read(() => this.#memory.lastSeqs(conversations))
  }
  conversations(user: string, limit: number, cursor?: string) {
    return this.#read(() => this.#memory.conversations(user, limit, cursor))
  }
  changes(user: string, since?: number) {
    return this.#read(() => this.#memory.changes(user, since))
  }
  check(): Promise<void> {
    return this.#memory.check()
  }
  close(): Promise<void> {
    return this.#memory.close()
  }

  #read<T>(read: () => Promise<T>): Promise<T> {
    if (this.failingReads === 0) return read()
    this.failingReads -= 1
    return Promise.reject(new StoreUnavailable(undefined))
  }
}
