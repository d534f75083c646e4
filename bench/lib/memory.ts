/** What memory processes hold, as the Linux kernel counts it. */
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { childrenOf } from './cost.ts'

const pageBytes = 4096
const settleStepMs = 250
const settledShare = 0.002
const settleDeadlineMs = 6000

/** Options of Node with which SIGUSR2 makes a server collect its garbage. */
export const collectsOnSignal: readonly string[] = [
  '--expose-gc',
  '--import',
  fileURLToPath(new URL('./gc-on-signal.js', import.meta.url)),
]

/** Resident bytes of one process. */
export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * pageBytes
}

/**
 * Resident bytes of a server that was started with `collectsOnSignal`, and of its workers: it collects its garbage until they stay
 * what they are. A smoke tells no figure, so it waits for none to settle.
 */
export async function settledBytes(pid: number, { isSmoke }: { readonly isSmoke: boolean }): Promise<number> {
  const pids = [pid, ...childrenOf(pid)]
  const look = () => pids.reduce((sum, each) => sum + residentBytes(each), 0)
  let bytes = look()
  for (const endMs = performance.now() + (isSmoke ? 0 : settleDeadlineMs); performance.now() < endMs; ) {
    for (const each of pids) process.kill(each, 'SIGUSR2')
    await wait(settleStepMs)
    const now = look()
    if (Math.abs(now - bytes) < bytes * settledShare) return now
    bytes = now
  }
  return bytes
}
