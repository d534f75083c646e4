/** What processes cost, as the Linux kernel counts it. */
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ: the unit of /proc/<pid>/stat on every Linux that Node runs on. */
const tickUs = 10_000

/** CPU time of a role at one moment, in microseconds since its processes began. */
export type CpuByRole = Readonly<Record<string, number>>

/** A service or database whose cost is counted: a process alone, or with all its children. */
export interface Role {
  readonly name: string
  readonly pid: number
  readonly withChildren: boolean
}

/** CPU of each role so far, and what the hypervisor took from the whole machine. */
export interface CostSample {
  readonly cpuUs: CpuByRole
  readonly stealUs: number
  /** CPU used by everything on the machine. */
  readonly busyUs: number
  readonly atMs: number
}

/** Samples all roles at once; processes of the same role are added up. */
export function sampleCost(roles: readonly Role[]): CostSample {
  return {
    cpuUs: cpuByRole(roles),
    ...machineCost(),
    atMs: performance.now(),
  }
}

function cpuByRole(roles: readonly Role[]): CpuByRole {
  const cpuUs: Record<string, number> = {}
  for (const role of roles) cpuUs[role.name] = (cpuUs[role.name] ?? 0) + cpuUsOf(role)
  return cpuUs
}

/** Microseconds of CPU per role between two samples. */
export function cpuBetween(before: CostSample, after: CostSample): CpuByRole {
  return Object.fromEntries(Object.entries(after.cpuUs).map(([name, us]) => [name, us - (before.cpuUs[name] ?? 0)]))
}

/** Disturbance between two samples, in cores: 0.02 is two percent of one core. */
export interface Disturbance {
  /** Taken by the hypervisor. */
  readonly stolenCores: number
  /** Used by processes that have no part in the run. */
  readonly foreignCores: number
}

/** `ownCpuUs`: what all processes of the run used between the samples. */
export function disturbanceBetween(before: CostSample, after: CostSample, ownCpuUs: number): Disturbance {
  const wallUs = (after.atMs - before.atMs) * 1000
  return {
    stolenCores: (after.stealUs - before.stealUs) / wallUs,
    foreignCores: Math.max(0, after.busyUs - before.busyUs - ownCpuUs) / wallUs,
  }
}

/** The parent of a process, or undefined when it is gone. */
export function parentOf(pid: number): number | undefined {
  return statOf(pid)?.parent
}

/**
 * Children that have ended are in their parent's own account, so a backend that leaves is not forgotten. One that leaves
 * while we look would be in neither: then everything is read again.
 */
function cpuUsOf(role: Role): number {
  const own = statOfRole(role)
  if (!role.withChildren) return own.ticks * tickUs
  const living = childrenOf(role.pid).reduce((sum, child) => sum + (statOf(child)?.ticks ?? 0), 0)
  if (statOfRole(role).reapedTicks !== own.reapedTicks) return cpuUsOf(role)
  return (own.ticks + own.reapedTicks + living) * tickUs
}

function statOfRole({ name, pid }: Role): ProcessStat {
  const stat = statOf(pid)
  if (stat === undefined) throw new Error(`${name} is gone (process ${pid})`)
  return stat
}

/** The processes that this one has started and that still run. */
export function childrenOf(pid: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((candidate) => statOf(candidate)?.parent === pid)
}

interface ProcessStat {
  readonly parent: number
  readonly ticks: number
  readonly reapedTicks: number
}

function statOf(pid: number): ProcessStat | undefined {
  const text = readIfThere(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // The name in parentheses may hold anything; what follows is state, ppid, … utime is the 12th, see proc(5).
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const field = (index: number) => fields[index] ?? 0
  return { parent: field(1), ticks: field(11) + field(12), reapedTicks: field(13) + field(14) }
}

function machineCost(): { stealUs: number; busyUs: number } {
  const total = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
  // user, nice, system, idle, iowait, irq, softirq, steal: see proc(5).
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = total.match(/\d+/g)?.map(Number) ?? []
  return { stealUs: steal * tickUs, busyUs: (user + nice + system + irq + softirq) * tickUs }
}

/** A process may end between being listed and being read. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined
    throw error
  }
}
