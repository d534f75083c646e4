import { performance } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'
import { seededRandom } from './stats.ts'

/** Shortest sleep between two looks at the schedule, in microseconds. */
const shortestSleepUs = 100
/** A sleeping machine wakes late: the last bit before a message is due is spent in short sleeps. */
const wakeEarlyUs = 200

/** Slots of the memory shared with the ticker thread. */
const stopped = 0
const tickPending = 1
const sleepUs = 2

// Timers of Node have a grain of 1 ms, more than an idle commit takes; a thread asleep in a futex wakes within 0.1 ms.
const tickerSource = `
  const { parentPort, workerData: flags } = require('node:worker_threads')
  while (Atomics.load(flags, ${stopped}) === 0) {
    Atomics.wait(flags, ${stopped}, 0, Atomics.load(flags, ${sleepUs}) / 1000)
    Atomics.store(flags, ${tickPending}, 1)
    parentPort.postMessage(0)
    while (Atomics.load(flags, ${stopped}) === 0 && Atomics.load(flags, ${tickPending}) === 1) {
      Atomics.wait(flags, ${tickPending}, 1)
    }
  }
`

/** Calls `send` at exponential intervals of a fixed mean, whatever the answers do; the argument is the due time. */
export class Pacer {
  readonly #flags = new Int32Array(new SharedArrayBuffer(12))
  readonly #meanMs: number
  readonly #random: () => number
  readonly #send: (intendedMs: number) => void
  #dueMs: number

  constructor(ratePerSecond: number, seed: number, send: (intendedMs: number) => void) {
    this.#meanMs = 1000 / ratePerSecond
    this.#random = seededRandom(seed)
    this.#send = send
    this.#dueMs = performance.now() + this.#nextGapMs()
    const ticker = new Worker(tickerSource, { eval: true, workerData: this.#flags })
    ticker.on('message', () => this.#tick())
  }

  /** Sends nothing more; the thread ends by itself. */
  stop(): void {
    Atomics.store(this.#flags, stopped, 1)
    Atomics.notify(this.#flags, stopped)
    Atomics.notify(this.#flags, tickPending)
  }

  #tick(): void {
    while (Atomics.load(this.#flags, stopped) === 0 && this.#dueMs <= performance.now()) {
      this.#send(this.#dueMs)
      this.#dueMs += this.#nextGapMs()
    }
    const untilDueUs = (this.#dueMs - performance.now()) * 1000
    Atomics.store(this.#flags, sleepUs, Math.max(shortestSleepUs, Math.floor(untilDueUs) - wakeEarlyUs))
    Atomics.store(this.#flags, tickPending, 0)
    Atomics.notify(this.#flags, tickPending)
  }

  #nextGapMs(): number {
    return -Math.log(1 - this.#random()) * this.#meanMs
  }
}
