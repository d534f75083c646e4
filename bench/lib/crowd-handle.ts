import { fileURLToPath } from 'node:url'
import { CommandedProcess } from './commanded-process.ts'
import type { CrowdCommand, CrowdPlan, CrowdResult } from './crowd-plan.ts'
import { VoidRun } from './load.ts'
import { type RunningSubject, wireNameOf } from './subjects.ts'

const processFile = fileURLToPath(new URL('./crowd-process.js', import.meta.url))

export type CrowdHandle = CommandedProcess<CrowdCommand, CrowdResult>

/** A crowd process; a command rejects with `VoidRun` when a socket failed or something did not come. */
export function startCrowd(): CrowdHandle {
  return new CommandedProcess(processFile, (reason) => new VoidRun(`crowd: ${reason}`))
}

/** Opens sockets of users `0 … count - 1` in JSON, a listening backlog's worth at a time, unless `plan` says otherwise. */
export function crowdPlan(
  { host, port, protocol, userPrefix }: RunningSubject,
  plan: Partial<CrowdPlan> & Pick<CrowdPlan, 'count'>,
): CrowdPlan {
  const wire = wireNameOf(protocol, 'json')
  return { host, port, wire, userPrefix, first: 0, step: 1, sameUser: false, atOnce: 200, readyAt: 'welcome', ...plan }
}
