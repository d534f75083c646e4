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
