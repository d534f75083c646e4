import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FloodCommand, FloodEvent, FloodResult } from './flood-plan.ts'

const processFile = fileURLToPath(new URL('./flood-process.js', import.meta.url))

interface Waiter {
  readonly resolve: (result: FloodResult) => void
  readonly reject: (error: Error) => void
}

/** The coordinator's end of one process of clients that offer too much. */
export class FloodHandle {
  readonly #child: ChildProcess
  readonly #waiters = new Map<number, Waiter>()
  #commands = 0

  constructor() {
    this.#child = fork(processFile, { serialization: 'advanced' })
    this.#child.on('message', (event: FloodEvent) => {
      const waiter = this.#waiters.get(event.number)
      this.#waiters.delete(event.number)
      if (event.type === 'done') waiter?.resolve(event.result)
      else waiter?.reject(new Error(`flood: ${event.reason}`))
    })
    this.#child.on('exit', (code) => {
      for (const { reject } of this.#waiters.values()) reject(new Error(`a flood process ended with ${code}`))
    })
  }

  tell(command: FloodCommand): Promise<FloodResult> {
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
