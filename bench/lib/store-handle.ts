import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { StoreEvent, StorePlan, StoreResult } from './store-plan.ts'

const processFile = fileURLToPath(new URL('./store-process.js', import.meta.url))

/** The coordinator's end of one storing process. */
export class StoreHandle {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(dsn: string): Promise<StoreHandle> {
    const handle = new StoreHandle(fork(processFile, [dsn]))
    await handle.#next()
    return handle
  }

  /** Rejects when a row was not stored. */
  async store(plan: StorePlan): Promise<StoreResult> {
    const answer = this.#next()
    this.#child.send(plan)
    const event = await answer
    if (event.type !== 'stored') throw new Error('a storing process answered out of turn')
    return event.result
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }

  #next(): Promise<StoreEvent> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null): void => reject(new Error(`a storing process ended with ${code}`))
      this.#child.once('exit', ended)
      this.#child.once('message', (event: StoreEvent) => {
        this.#child.off('exit', ended)
        if (event.type === 'failed') reject(new Error(`storing: ${event.reason}`))
        else resolve(event)
      })
    })
  }
}
