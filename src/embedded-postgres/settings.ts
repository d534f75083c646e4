import os from 'node:os'

const MIN_CONNECTIONS = 100
/** For sessions that PostgreSQL still has to end after their process has died, and for a look by hand. */
const SPARE_CONNECTIONS = 20
const MIB = 2 ** 20
const MIN_SHARED_BUFFERS_MIB = 128
/** What is dirty in them is written when the service stops, which waits ten seconds for it before it leaves that to recovery. */
const MAX_SHARED_BUFFERS_MIB = 4096

/** What a server of the service's own runs with, for so many connections of the service. */
export function defaultSettings(connections: number): Record<string, string> {
  return {
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    shared_buffers: sharedBuffers(memoryBytes()),
    max_wal_size: '4GB',
    checkpoint_timeout: '15min',
    max_connections: String(Math.max(MIN_CONNECTIONS, connections + SPARE_CONNECTIONS)),
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '',
    // A recovery that says nothing for long is taken for one that hangs.
    log_startup_progress_interval: '10s',
    // The texts of statements and rows hold what people write to each other: they stay out of the log.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
  }
}

/**
 * A quarter of the memory, within bounds, as PostgreSQL's manual advises (18, "Resource Consumption", shared_buffers). They
 * take memory only as they fill.
 */
export function sharedBuffers(memory: number): string {
  const quarter = Math.floor(memory / 4 / MIB)
  return `${Math.min(Math.max(quarter, MIN_SHARED_BUFFERS_MIB), MAX_SHARED_BUFFERS_MIB)}MB`
}

/** What this process may use: of a container its limit, which Node tells as 0 or a number beyond all memory when there is none. */
function memoryBytes(): number {
  return Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, os.totalmem())
}
