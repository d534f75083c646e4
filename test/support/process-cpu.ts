import { readFileSync } from 'node:fs'

/** One tick of proc(5)'s times, on every Linux that Node runs on. */
const CLOCK_TICK_MS = 10

/** CPU time that a process has used so far, in steps of 10 ms; 0 where there is no /proc to tell. */
export function cpuMs(pid: number): number {
  if (process.platform !== 'linux') return 0
  // The name in parentheses may hold anything; behind it come the fields from the third on, times are the 14th and 15th.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS
}
