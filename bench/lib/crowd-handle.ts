import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { CrowdCommand, CrowdEvent, CrowdPlan, CrowdResult } from './crowd-plan.ts'
import { VoidRun } from './load.ts'
import type { RunningSubject } from './subjects.ts'

const processFile = fileURLToPath(new URL('./crowd-process.js', import.meta.url))

interface Waiter {
  readonly resolve: (result: CrowdResult) => void
  readonly reject: (error: Error) => void
}

/** The coordinator's end of one crowd process. */
export class CrowdHandle {
  readonly #child: ChildProcess
  readonly #waiters = new Map<number, Waiter>()
  #commands = 0

  constructor() {
    this.#child = fork(processFile, { serialization: 'advanced' })
    this.#child.on('message', (event: CrowdEvent) => {
      const waiter = this.#waiters.get(event.number)
      this.#waiters.delete(event.number)
      if (event.type === 'done') waiter?.resolve(event.result)
      else waiter?.reject(new VoidRun(`crowd: ${event.reason}`))
    })
    this.#child.on('exit', (code) => {
      for (const { reject } of this.#waiters.values()) reject(new Error(`a crowd process ended with ${code}`))
    })
  }

  /** Rejects with `VoidRun` when a socket failed or something did not come. */
  tell(command: CrowdCommand): Promise<CrowdResult> {
    const number = this.#commands++
    return new Promise((resolve, reject) => {
      this.#waiters.set(number, { resolve, reject })
      this.#child.send({ number, command })
    })
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}

/** Opens sockets of users `0 … count - 1` in JSON, a listening backlog's worth at a time, unless `plan` says otherwise. */
export function crowdPlan(
  { host, port, protocol, userPrefix }: RunningSubject,
  plan: Partial<CrowdPlan> & Pick<CrowdPlan, 'count'>,
): CrowdPlan {
  const wire = protocol === 'socketio' ? 'socketio' : 'json'
  return { host, port, wire, userPrefix, first: 0, step: 1, sameUser: false, atOnce: 200, readyAt: 'welcome', ...plan }
}
