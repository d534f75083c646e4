// A few people who chat at a steady pace, so that it shows what something else costs them.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { cpuMs } from '../support/process-cpu.ts'

/** Sends in both directions, and the time until each was acknowledged. */
export class ChatLoad {
  readonly #thread: Worker

  private constructor(thread: Worker) {
    this.#thread = thread
  }

  static async start(port: number): Promise<ChatLoad> {
    const thread = new Worker(new URL('push-load-thread.js', import.meta.url), { workerData: { port } })
    await once(thread, 'message')
    return new ChatLoad(thread)
  }

  /** Past the first seconds, in which everything is compiled. */
  async settle(): Promise<void> {
    await delay(5_000)
  }

  /** Milliseconds, of what was acknowledged while this lasted. */
  async p99During(work: Promise<unknown>): Promise<number> {
    await this.#p99()
    await work
    return this.#p99()
  }

  /** What the chat alone costs the service. */
  async cpuPerMs(pid: number): Promise<number> {
    const [before, startMs] = [cpuMs(pid), performance.now()]
    await delay(10_000)
    return (cpuMs(pid) - before) / (performance.now() - startMs)
  }

  async stop(): Promise<void> {
    await this.#thread.terminate()
  }

  async #p99(): Promise<number> {
    this.#thread.postMessage('p99')
    const [ms] = (await once(this.#thread, 'message')) as [number]
    return ms
  }
}
