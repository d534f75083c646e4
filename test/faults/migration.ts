// The migrations of this version on a large database of each earlier one, while an instance of that one stores as much as it can.
import { readdir, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { migrate } from '../../src/postgres/migrate.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { fill, inconsistencies, migrateTo, SQL, Traffic } from '../support/upgrade.ts'
import { Cluster } from './cluster.ts'
import type { Settings } from './settings.ts'

const MESSAGES = 1_000_000
const BESIDE_MS = 3_000

interface Result {
  readonly from: number
  readonly rows: number
  readonly migrationMs: number
  readonly stored: number
  readonly refused: number
  readonly inconsistent: number
  /** The longest time without an answer: without a migration, and from its start on. */
  readonly usualPauseMs: number
  readonly longestPauseMs: number
}

/** True when from no version a send was refused or a number lost. Figures go to the report, too. */
export async function runMigration({ report }: Settings): Promise<boolean> {
  const newest = (await readdir(SQL)).filter((name) => name.endsWith('.sql')).length
  const results: Result[] = []
  const cluster = await Cluster.start(undefined, { max_wal_size: '4GB' })
  try {
    for (let version = 1; version < newest; version += 1) results.push(await upgradeFrom(version, cluster))
  } finally {
    await cluster.remove()
  }
  for (const result of results) process.stdout.write(`${JSON.stringify(result)}\n`)
  if (report) await writeFile(report, `${JSON.stringify(results, undefined, 2)}\n`)
  const isSound = results.every(
    ({ refused, inconsistent, stored }) => refused === 0 && inconsistent === 0 && stored > 0,
  )
  process.stdout.write(`${isSound ? 'passed' : 'FAILED'}\n`)
  return isSound
}

async function upgradeFrom(version: number, cluster: Cluster): Promise<Result> {
  const name = `from_${version}`
  await cluster.run(`create database ${name}`)
  const dsn = cluster.socketDsn(name)
  await migrateTo(version, dsn)
  await fill(dsn, MESSAGES)
  await cluster.run('checkpoint')
  const traffic = new Traffic(dsn)
  await delay(BESIDE_MS)
  traffic.takeLongestPauseMs() // of its start
  await delay(BESIDE_MS)
  const usualPauseMs = Math.round(traffic.takeLongestPauseMs())
  const startedMs = performance.now()
  await migrate(parseDsn(dsn), { logger: silentLogger, directory: SQL })
  const migrationMs = Math.round(performance.now() - startedMs)
  await delay(BESIDE_MS)
  const { stored, refused, longestPauseMs } = await traffic.stop()
  return {
    ...{ from: version, rows: MESSAGES, migrationMs, stored, refused },
    inconsistent: await inconsistencies(dsn),
    ...{ usualPauseMs, longestPauseMs: Math.round(longestPauseMs) },
  }
}
