import type { Clock } from '../../src/lib/clock.ts'
import { CommitFeed, type CommitListener } from '../../src/messages/commit-feed.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import { KnownPositions } from '../../src/messages/known-positions.ts'
import { Outcomes } from '../../src/messages/outcomes.ts'
import { MessageService } from '../../src/messages/service.ts'
import type { CommitPath, MessageStore } from '../../src/messages/store.ts'
import { MessageWriter, type WriterLimits } from '../../src/messages/writer.ts'
import { silentLogger } from './silent-logger.ts'

const LIMITS: WriterLimits = { maxQueueRows: 10_000, maxQueueBytes: 1e8, maxQueueAgeMs: 2000, maxBatchRows: 1000 }

export interface MessagesOptions {
  readonly store: MessageStore
  readonly clock: Clock
  readonly listeners: readonly CommitListener[]
  readonly limits?: Partial<WriterLimits>
  readonly heads?: KnownHeads
}

/** The whole of `messages/` over a store, composed as the service composes it; nobody is refused early. */
export function messagesOver({ store, clock, listeners, limits, heads = new KnownHeads() }: MessagesOptions) {
  /** What became of each send, as it is counted. */
  const counted: string[] = []
  /** Of attempts to commit. */
  const failures: string[] = []
  const paths: CommitPath[] = []
  const observer = {
    committed: (_rows: number, _durationMs: number, path: CommitPath) => void paths.push(path),
    failed: (failure: string) => void failures.push(failure),
    sendSettled: (outcome: string) => void counted.push(outcome),
  }
  const positions = new KnownPositions()
  const feed = new CommitFeed(silentLogger)
  const shared = { heads, positions, observer, clock, logger: silentLogger }
  const outcomes = new Outcomes({ feed, ...shared })
  const writer = new MessageWriter({
    log: store,
    outcomes,
    ...shared,
    limits: { ...LIMITS, ...limits },
    random: () => 1,
  })
  const messages = new MessageService({ reads: store, writer, ...shared })
  for (const listener of listeners) feed.subscribe(listener)
  return { messages, writer, heads, positions, counted, failures, paths }
}
