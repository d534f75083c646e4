import type pg from 'pg'

/** The oldest server the service is tested with, as `server_version_num`. */
export const MIN_VERSION_NUM = 150_000

/** What the server says about itself. */
export interface ServerSettings {
  fsync: string
  full_page_writes: string
  synchronous_commit: string
  server_encoding: string
  server_version: string
  version_num: number
  in_recovery: boolean
  read_only: boolean
}

const STANDBY = 'it is a standby (in recovery): connect to the primary'

const QUERY = `
  select current_setting('fsync') as fsync,
         current_setting('full_page_writes') as full_page_writes,
         current_setting('synchronous_commit') as synchronous_commit,
         current_setting('server_encoding') as server_encoding,
         current_setting('server_version') as server_version,
         current_setting('server_version_num')::int as version_num,
         pg_is_in_recovery() as in_recovery,
         current_setting('default_transaction_read_only')::bool as read_only`

/** Throws when the server is a standby, which may lack what was acknowledged. */
export async function assertPrimary(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const { rows } = await client.query<{ in_recovery: boolean }>('select pg_is_in_recovery() as in_recovery')
  if (rows[0]?.in_recovery !== false) throw new Error(`This PostgreSQL cannot be used: ${STANDBY}`)
}

/**
 * Throws one Error with all reasons why this server cannot keep "acked means committed". Ask on a connection of the same
 * user, database and options as the writer's: `synchronous_commit` may be set for each of them. Resolves with that one.
 */
export async function assertDurable(client: Pick<pg.ClientBase, 'query'>): Promise<string> {
  const { rows } = await client.query<ServerSettings>(QUERY)
  const settings = rows[0]
  if (!settings) throw new Error('PostgreSQL did not tell its settings')
  const reasons = findReasons(settings)
  if (reasons.length > 0) throw new Error(`This PostgreSQL cannot be used:\n- ${reasons.join('\n- ')}`)
  return settings.synchronous_commit
}

/** Why a server with these settings cannot be used; empty when it can. */
export function findReasons(settings: ServerSettings): string[] {
  const reasons: string[] = []
  if (settings.version_num < MIN_VERSION_NUM) {
    reasons.push(`it is version ${settings.server_version}: 15 or newer is needed`)
  }
  if (settings.in_recovery) reasons.push(STANDBY)
  if (settings.read_only) {
    reasons.push(
      'it is read-only: default_transaction_read_only is on ' +
        '(look also at ALTER ROLE and ALTER DATABASE settings; some providers set it when the disk is full)',
    )
  }
  if (settings.fsync !== 'on') reasons.push('fsync is off: a power cut would destroy stored messages; set fsync = on')
  if (settings.full_page_writes !== 'on') {
    reasons.push('full_page_writes is off: a power cut could tear pages; set full_page_writes = on')
  }
  // `local` and `remote_write` acknowledge before the standby that is to take over has the commit on disk.
  if (!['on', 'remote_apply'].includes(settings.synchronous_commit)) {
    reasons.push(
      `synchronous_commit is ${settings.synchronous_commit}: messages would be acknowledged before they are safe; ` +
        'set synchronous_commit = on (look also at ALTER ROLE and ALTER DATABASE settings)',
    )
  }
  if (settings.server_encoding !== 'UTF8') {
    reasons.push(`its encoding is ${settings.server_encoding}: make the database with ENCODING 'UTF8'`)
  }
  return reasons
}
