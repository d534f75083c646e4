import { randomBytes } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import pg from 'pg'
import {
  type BackupManifest,
  BackupWriter,
  hasCluster,
  layBackup,
  reachEmbeddedPostgres,
  removeLaidBackup,
  startEmbeddedPostgres,
} from '../embedded-postgres/embedded-postgres.ts'
import type { Logger } from '../lib/logger.ts'
import { parseDsn, resolveDsn } from './dsn.ts'
import { migrate } from './migrate.ts'
import { type MovedRows, moveRows } from './move.ts'
import { connectionOptions, endClient } from './pool.ts'

export interface BackupOptions {
  readonly dataDir: string
  /** Version of the service. */
  readonly version: string
  readonly logger: Logger
}

/** Of each command its own, also of two in different containers: they may copy to two places at once. */
const newSlot = (): string => `messaging_backup_${randomBytes(8).toString('hex')}`
/** What a server of the service's own was made with; initdb's default. */
const SEGMENT_BYTES = 16n * 2n ** 20n
const SEGMENTS_PER_LOG = 2n ** 32n / SEGMENT_BYTES

/**
 * Copies the service's own PostgreSQL into a directory that is not there yet, while the service may run: whatever was acknowledged
 * before the call is in it. PostgreSQL 18, 25.3.4 "Making a Base Backup Using the Low Level API". Rejects when there is nothing to
 * back up, and leaves nothing behind then.
 */
export async function backUp(target: string, { dataDir, version, logger }: BackupOptions): Promise<BackupManifest> {
  if (!(await hasCluster(dataDir))) throw new Error(`${dataDir} holds no PostgreSQL of this service.`)
  const writer = await BackupWriter.begin(await realpath(dataDir), resolve(target))
  try {
    const own = await reachEmbeddedPostgres({ dataDir, logger })
    const client = new pg.Client({ ...parseDsn(own.dsn), ...connectionOptions() })
    client.on('error', (error) => logger.warn({ err: error }, 'lost a database connection'))
    try {
      await client.connect()
      return await copyWhileRunning(client, writer, version)
    } finally {
      await endClient(client)
      await own.stop()
    }
  } catch (error) {
    await writer.abandon()
    throw error
  }
}

interface Address {
  readonly dsn: string
  readonly schema: string | undefined
}

interface Stopped {
  readonly lsn: string
  readonly labelfile: string
  readonly timeline: string
}

async function copyWhileRunning(client: pg.Client, writer: BackupWriter, version: string): Promise<BackupManifest> {
  const began_at = new Date().toISOString()
  // The slot keeps the log from here on; it goes with the session.
  await client.query('select pg_create_physical_replication_slot($1, true, true)', [newSlot()])
  const { rows: begun } = await client.query<{ lsn: string; postgres: string }>(
    "select pg_backup_start('messaging', true)::text as lsn, current_setting('server_version') as postgres",
  )
  await writer.copyData()
  const { rows: ended } = await client.query<Stopped>(
    `select lsn::text, labelfile, left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline
       from pg_backup_stop(wait_for_archive => false)`,
  )
  const [start, stop] = [begun[0], ended[0]]
  if (!start || !stop) throw new Error('PostgreSQL did not say where the backup begins and ends')
  await writer.write('backup_label', stop.labelfile)
  await writer.copyLog(segmentsBetween(stop.timeline, start.lsn, stop.lsn))
  await writer.copyLog(await writer.timelineHistories())
  return writer.finish({ version, postgres: start.postgres, began_at })
}

/** Names of the files of the log that hold everything from one place up to another, such as `0/2000028`. */
export function segmentsBetween(timeline: string, fromLsn: string, toLsn: string): string[] {
  const first = positionOf(fromLsn) / SEGMENT_BYTES
  // The end is the first byte that is not needed.
  const last = (positionOf(toLsn) - 1n) / SEGMENT_BYTES
  const hex = (number: bigint): string => number.toString(16).toUpperCase().padStart(8, '0')
  return Array.from({ length: Number(last - first) + 1 }, (_, index) => {
    const segment = first + BigInt(index)
    return timeline + hex(segment / SEGMENTS_PER_LOG) + hex(segment % SEGMENTS_PER_LOG)
  })
}

function positionOf(lsn: string): bigint {
  const [high = '', low = ''] = lsn.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}

/**
 * Brings a backup back into a data directory without a cluster, and recovers it. `open` starts the service's database on it once;
 * when that fails nothing is left there.
 */
export async function restore(backup: string, dataDir: string, open: () => Promise<void>): Promise<BackupManifest> {
  const manifest = await layBackup(resolve(backup), resolve(dataDir))
  try {
    await open()
  } catch (error) {
    await removeLaidBackup(dataDir)
    throw error
  }
  return manifest
}

/** Copies everything from the service's own PostgreSQL to a migrated database that nobody has used; no service may run on the former. */
export async function moveOwn(dataDir: string, to: Address, logger: Logger): Promise<MovedRows> {
  if (!(await hasCluster(dataDir))) throw new Error(`${dataDir} holds no PostgreSQL of this service.`)
  const own = await startEmbeddedPostgres({ dataDir, logger })
  try {
    const source = parseDsn(own.dsn)
    // It may have been left by a release before this one.
    await migrate(source, { logger })
    return await moveRows(source, { config: await resolveDsn(to.dsn), schema: to.schema }, logger)
  } finally {
    await own.stop()
  }
}
