import { spawn } from 'node:child_process'
import type { Account } from './account.ts'
import { CHILD_ENVIRONMENT } from './binaries.ts'

/**
 * Waits on a pipe that only the service holds, so the kernel closes it however the service dies. A line means farewell
 * and says what becomes of the directory; the end of the pipe means death: stop PostgreSQL (fast, then immediate, then by
 * force) and clean up. $1 is the postmaster, $2 the runtime directory.
 */
const SCRIPT = `
trap '' HUP INT TERM
stop() {
  kill -s "$1" "$2" 2>/dev/null || return 0
  tries=0
  while [ "$tries" -lt "$3" ]; do
    kill -0 "$2" 2>/dev/null || return 0
    sleep 0.1
    tries=$((tries + 1))
  done
  return 1
}
read -r directory || stop INT "$1" 50 || stop QUIT "$1" 100 || kill -s KILL "$1"
[ "$directory" = keep ] || rm -rf "$2"
`

/** Ends PostgreSQL when the service dies without stopping it, even by SIGKILL. */
export interface Watchdog {
  /** PostgreSQL has ended: nothing is left but the runtime directory. */
  dismiss(directory: 'remove' | 'keep'): void
}

/** Starts the watchdog as PostgreSQL's user, out of reach of the terminal's Ctrl-C and of the service's group. */
export function startWatchdog(postmasterPid: number, runtimeDir: string, account: Account | undefined): Watchdog {
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'postgres-watchdog', String(postmasterPid), runtimeDir], {
    ...account,
    cwd: '/',
    env: CHILD_ENVIRONMENT,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // EPIPE when the watchdog was killed before us; PostgreSQL is then stopped by stop() or by the next start.
  child.stdin.on('error', () => child.stdin.destroy())
  child.on('error', () => child.stdin.destroy())
  return { dismiss: (directory) => child.stdin.end(`${directory}\n`) }
}
