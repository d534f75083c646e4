import type { BackupReport, StorageTools } from './cli/storage-commands.ts'
import type { Config } from './config.ts'
import type { BackupManifest } from './embedded-postgres/embedded-postgres.ts'
import type { Logger } from './lib/logger.ts'
import type { EpochStore } from './messages/epoch-store.ts'
import { backUp, moveOwn, restore } from './postgres/backup.ts'
import type { Database } from './postgres/database.ts'
import type { Queries } from './postgres/queries.ts'
import { VERSION } from './version.ts'

export interface StorageToolsOptions {
  readonly config: () => Config
  readonly logger: (config: Config) => Logger
  /** Notes what it renews in the audit, where there is one. */
  readonly epochStore: (config: Config, queries: Queries) => EpochStore
  readonly withDatabase: <T>(config: Config, work: (database: Database) => Promise<T>) => Promise<T>
}

const NOT_OWN =
  'POSTGRES_DSN is set, and this is for the PostgreSQL that the service brings along. Use pg_dump or pg_basebackup of yours.'

/** The part of the composition root that copies the service's own PostgreSQL. */
export function storageTools({ config, logger, epochStore, withDatabase }: StorageToolsOptions): StorageTools {
  const own = (): Config => {
    const loaded = config()
    if (loaded.postgres.dsn !== undefined) throw new Error(NOT_OWN)
    return loaded
  }
  return {
    async backUp(target) {
      const loaded = own()
      const { dataDir } = loaded.postgres
      return reportOf(await backUp(target, { dataDir, version: VERSION, logger: logger(loaded) }))
    },
    async restore(backup) {
      const loaded = own()
      let epoch = ''
      const manifest = await restore(backup, loaded.postgres.dataDir, () =>
        withDatabase(loaded, async (database) => {
          const store = epochStore(loaded, database.openQueries(1))
          const seen = await store.read()
          epoch = (await store.renew(seen, `restored a backup: ${seen.movedBecause}`)).epoch
        }).catch((error: unknown) => {
          // With the new epoch the restore is whole: what fails then is the end of the session, and takes nothing away.
          if (epoch === '') throw error
        }),
      )
      return { ...reportOf(manifest), epoch }
    },
    async move() {
      const loaded = config()
      const { dsn, migrationDsn, schema, dataDir } = loaded.postgres
      if (dsn === undefined) throw new Error('POSTGRES_DSN is not set: it says where everything is moved to.')
      return withDatabase(loaded, () => moveOwn(dataDir, { dsn: migrationDsn ?? dsn, schema }, logger(loaded)))
    },
  }
}

function reportOf({ began_at, postgres, files }: BackupManifest): BackupReport {
  return { began_at, postgres, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) }
}
