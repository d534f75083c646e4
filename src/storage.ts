import { PostgresAccountDirectory } from './accounts/account-directory.postgres.ts'
import type { Config } from './config.ts'
import { systemClock as clock } from './lib/clock.ts'
import type { Logger } from './lib/logger.ts'
import { CommitFeed } from './messages/commit-feed.ts'
import { Epoch } from './messages/epoch.ts'
import { PostgresEpochStore } from './messages/epoch-store.postgres.ts'
import { KnownHeads } from './messages/known-heads.ts'
import { KnownPositions } from './messages/known-positions.ts'
import { PostgresMessageLog } from './messages/log.postgres.ts'
import { Outcomes } from './messages/outcomes.ts'
import { PostgresMessageReads } from './messages/reads.postgres.ts'
import { MessageService } from './messages/service.ts'
import type { MessageReads } from './messages/store.ts'
import { WatchedLog } from './messages/watched-log.ts'
import { MessageWriter } from './messages/writer.ts'
import { type Database, openDatabase } from './postgres/database.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { Tracing } from './tracing.ts'
import { PostgresAvatars } from './users/avatars.postgres.ts'
import type { Avatars } from './users/avatars.ts'
import type { UserDirectory } from './users/user.ts'
import { PostgresUserDirectory } from './users/user-directory.postgres.ts'

/** Everything from PostgreSQL up to what a user may ask of messages. */
export interface Storage {
  readonly database: Database
  readonly heads: KnownHeads
  readonly log: WatchedLog
  readonly reads: MessageReads
  readonly epoch: Epoch
  /** Tells what is committed here. */
  readonly feed: CommitFeed
  readonly writer: MessageWriter
  readonly messages: MessageService
  readonly people: UserDirectory
  readonly avatars: Avatars
  /** To be called when the writer has closed: then nothing is lost by it. */
  close(): Promise<void>
}

export interface StorageParts {
  readonly logger: Logger
  readonly metrics: Metrics
  readonly tracing?: Tracing | undefined
}

/** For the directory of people; no message waits for it. */
const DIRECTORY_CONNECTIONS = 2

/** The part of the composition root that keeps messages. */
export async function openStorage(config: Config, { logger, metrics, tracing }: StorageParts): Promise<Storage> {
  const database = await openDatabase({ ...config.postgres, logger })
  const { writerConnection, reader, health } = database
  const beginnings = config.auth.mode === 'accounts' ? 'accounts' : 'anybody'
  const heads = new KnownHeads()
  const positions = new KnownPositions()
  const log = new WatchedLog(new PostgresMessageLog({ writerConnection, reader, heads, health, beginnings }), clock)
  const reads = new PostgresMessageReads(reader)
  const looks = database.openQueries(1)
  const epoch = new Epoch({
    store: new PostgresEpochStore(looks),
    renewSession: () => looks.renew(),
    ...{ reads, heads, positions, clock, logger, health },
  })
  writerConnection.whenLost(() => epoch.serverLost())
  // Of another line an id may be another pair's: what is under way with the old ones is given up, and they are forgotten.
  epoch.whenRenewed(() => writerConnection.discard())
  // And other sessions may still lead to the server of before.
  epoch.whenRenewed(() => database.renewSessions())
  reader.checkSessions((session) => epoch.recognize(new PostgresEpochStore(session)))
  writerConnection.checkSessions((session) => epoch.confirm(new PostgresEpochStore(session)))
  const feed = new CommitFeed(logger)
  const outcomes = new Outcomes({ feed, heads, positions, observer: metrics, clock, logger })
  const writer = new MessageWriter({
    log: tracing?.watching(log) ?? log,
    outcomes: tracing?.traces.tracing(outcomes) ?? outcomes,
    ...{ clock, logger, limits: config.writer, observer: metrics },
  })
  const messages = new MessageService({ reads, writer, heads, positions, clock, observer: metrics })
  const close = async (): Promise<void> => {
    await epoch.stop()
    await log.close()
    await database.close()
  }
  const directory = database.openQueries(DIRECTORY_CONNECTIONS)
  const people =
    beginnings === 'accounts' ? new PostgresAccountDirectory(directory) : new PostgresUserDirectory(directory)
  const avatars = new PostgresAvatars(directory)
  return { database, heads, log, reads, epoch, feed, writer, messages, people, avatars, close }
}
