import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import type { Options } from '@node-rs/argon2'

/** Exactly one: hash with these parameters, or compare with a PHC string. */
export type HashingTask =
  | { readonly password: string; readonly parameters: Options }
  | { readonly password: string; readonly phc: string }

interface Pending {
  readonly resolve: (value: string | boolean) => void
  readonly reject: (error: Error) => void
}

/** Added to the niceness of the process: about a tenth of what the threads that carry messages get where there is not enough for all. */
const NICER_BY = 10
/** Of setpriority(2). */
const NICEST = 19

/**
 * What the thread runs, as a text: it has to start from compiled files and from TypeScript alike. Linux gives each thread a
 * priority of its own, by the id that `/proc/thread-self` names (proc(5), setpriority(2)); elsewhere it stays as it is.
 */
const PROGRAM = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { hashSync, verifySync } = require(workerData.library)
  try {
    const [id] = require('node:fs').readlinkSync('/proc/thread-self').split('/').reverse()
    const { getPriority, setPriority } = require('node:os')
    setPriority(Number(id), Math.min(workerData.nicest, getPriority(Number(id)) + workerData.nicerBy))
  } catch {} // another system, or no right to: the threads are as important as the others
  parentPort.on('message', ({ password, parameters, phc }) => {
    try {
      parentPort.postMessage({ value: phc === undefined ? hashSync(password, parameters) : verifySync(phc, password) })
    } catch (error) {
      parentPort.postMessage({ reason: String(error) })
    }
  })`

/**
 * A thread that hashes one password after another, behind everything else that the process does: messages go on while many people
 * sign in. It starts with the first task. While it has nothing to do it keeps no process from ending.
 */
export class HashingThread {
  readonly #pending: Pending[] = []
  #worker: Worker | undefined

  /** Rejects for what is no PHC string, where there is no binary for this machine, and when the thread ends; the next task starts another. */
  async run(task: HashingTask): Promise<string | boolean> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      worker.ref()
      worker.postMessage(task)
    })
  }

  /** Resolves once it has ended. What it is at is rejected. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const library = createRequire(import.meta.url).resolve('@node-rs/argon2')
    const workerData = { library, nicerBy: NICER_BY, nicest: NICEST }
    // Of the process's own it takes neither what is loaded first nor the output: opening that would change what the log is written to.
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [], stdout: true, stderr: true, workerData })
    worker.on('message', ({ value, reason }: { value?: string | boolean; reason?: string }) => {
      const { resolve, reject } = this.#pending.shift() ?? {}
      if (value === undefined) reject?.(new Error(reason))
      else resolve?.(value)
      if (this.#pending.length === 0) worker.unref()
    })
    let failure = 'the thread that hashes passwords has ended'
    worker.on('error', (error) => {
      failure = String(error)
    })
    worker.on('exit', () => {
      this.#worker = undefined
      for (const { reject } of this.#pending.splice(0)) reject(new Error(failure))
    })
    return worker
  }
}
