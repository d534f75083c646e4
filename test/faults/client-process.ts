import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ClientPlan, Order, Told } from './client-plan.ts'

const entryOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url))
const ORDER_LIMIT_MS = 90_000

/** A process of clients from outside. */
export class ClientProcess {
  readonly plan: ClientPlan
  #child: ChildProcess | undefined
  #told: Told | undefined
  #waiting: { order: Order; resolve: () => void }[] = []
  kills = 0

  constructor(plan: ClientPlan) {
    this.plan = plan
    this.start()
  }

  get told(): Told | undefined {
    return this.#told
  }

  start(): void {
    if (this.#child) return
    const child = fork(entryOf(this.plan.isSdk ? './sdk-clients.js' : './clients.js'), [JSON.stringify(this.plan)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child = child
    child.on('message', (told: Told) => {
      this.#told = told
      const done = this.#waiting.filter(({ order }) => order === told.done)
      this.#waiting = this.#waiting.filter(({ order }) => order !== told.done)
      for (const { resolve } of done) resolve()
    })
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
  }

  order(order: Order): Promise<void> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`clients do not answer to ${order}`)), ORDER_LIMIT_MS)
      const done = (): void => {
        clearTimeout(limit)
        resolve()
      }
      this.#waiting.push({ order, resolve: done })
      this.#child?.send(order)
    })
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.kills += 1
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }
  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.thaw()
    const exited = once(child, 'exit')
    child.send('exit')
    await exited
  }
}
