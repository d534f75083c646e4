import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { GeneratorCommand, GeneratorEvent, GeneratorPlan, GeneratorResult } from './load-plan.ts'

const processFile = fileURLToPath(new URL('./generator-process.js', import.meta.url))

/** The coordinator's end of one generator process. */
export class GeneratorHandle {
  readonly #child: ChildProcess

  constructor(plan: GeneratorPlan) {
    // 'advanced' keeps numbers that JSON has no word for.
    this.#child = fork(processFile, { serialization: 'advanced' })
    this.tell({ type: 'connect', plan })
  }

  tell(command: GeneratorCommand): void {
    if (this.#child.connected) this.#child.send(command)
  }

  /** Resolves when all its sockets are open; to be called right after construction. */
  async connected(): Promise<void> {
    await this.#next('connected')
  }

  /** Resolves when everybody has written to all of their peers. */
  async opened(): Promise<void> {
    this.tell({ type: 'open' })
    await this.#next('opened')
  }

  /** Resolves with its counts; to be called right after `finish` was told. */
  async finished(): Promise<GeneratorResult> {
    return (await this.#next('finished')).result
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #next<Type extends GeneratorEvent['type']>(type: Type): Promise<Extract<GeneratorEvent, { type: Type }>> {
    return new Promise((resolve, reject) => {
      this.#child.on('message', (event: GeneratorEvent) => {
        if (event.type === 'failed') reject(new Error(`generator: ${event.reason}`))
        else if (isOfType(event, type)) resolve(event)
      })
      this.#child.once('exit', (code) => reject(new Error(`generator ended with ${code}`)))
    })
  }
}

function isOfType<Type extends GeneratorEvent['type']>(
  event: GeneratorEvent,
  type: Type,
): event is Extract<GeneratorEvent, { type: Type }> {
  return event.type === type
}
