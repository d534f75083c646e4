import { readFileSync } from 'node:fs'

/** How many files and sockets this process may have open (its soft limit), where the system tells; else undefined. */
export function openFileLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined // not Linux
  }
}

/** Kept for the database, Redis, the log and requests. */
const RESERVED_FILES = 128

/** Beyond the limit of open files a server cannot even refuse: it spins on connections that it cannot accept. */
export function maxSockets(): number {
  return Math.max(1, (openFileLimit() ?? Number.POSITIVE_INFINITY) - RESERVED_FILES)
}
