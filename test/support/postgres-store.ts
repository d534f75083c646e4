import { systemClock } from '../../src/lib/clock.ts'
import { DependencyLog } from '../../src/lib/dependency-log.ts'
import type { Logger } from '../../src/lib/logger.ts'
import type { Beginnings } from '../../src/messages/conversation-ids.postgres.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import { PostgresMessageLog } from '../../src/messages/log.postgres.ts'
import { PostgresMessageReads } from '../../src/messages/reads.postgres.ts'
import type { MessageStore } from '../../src/messages/store.ts'
import type { Database } from '../../src/postgres/database.ts'

/** Both halves of the PostgreSQL store as one, for suites that play a whole store. */
export function postgresStore(
  { writerConnection, reader }: Database,
  logger: Logger,
  heads = new KnownHeads(),
  beginnings: Beginnings = 'anybody',
): MessageStore {
  const log = new PostgresMessageLog({
    writerConnection,
    reader,
    heads,
    beginnings,
    health: new DependencyLog({ dependency: 'PostgreSQL', logger, clock: systemClock }),
  })
  const reads = new PostgresMessageReads(reader)
  return {
    commit: (messages, positions, path) => log.commit(messages, positions, path),
    cancelCommit: () => log.cancelCommit(),
    check: () => log.check(),
    close: () => log.close(),
    page: (conversation, request) => reads.page(conversation, request),
    lastSeq: (conversation) => reads.lastSeq(conversation),
    lastSeqs: (conversations) => reads.lastSeqs(conversations),
    conversations: (user, limit, cursor) => reads.conversations(user, limit, cursor),
    changes: (user, since) => reads.changes(user, since),
    recentHeads: (users, sinceMs) => reads.recentHeads(users, sinceMs),
    firstSince: (recent) => reads.firstSince(recent),
    backlog: (user) => reads.backlog(user),
  }
}
