import { residentBytes } from './memory.ts'

const sampleGapMs = 100
const mib = 2 ** 20

/** Resident memory of a process while it is flooded. */
export class MemoryWatch {
  readonly #pid: number
  readonly #samples: number[] = []
  #sampling: NodeJS.Timeout | undefined

  constructor(pid: number) {
    this.#pid = pid
  }

  start(): void {
    this.#samples.push(residentBytes(this.#pid))
    this.#sampling = setInterval(() => this.#samples.push(residentBytes(this.#pid)), sampleGapMs)
  }

  /** At the start, the most in the first half, and the most of all. */
  stop(): { restMiB: number; halfMiB: number; mostMiB: number } {
    clearInterval(this.#sampling)
    const half = this.#samples.slice(0, Math.ceil(this.#samples.length / 2))
    const most = (samples: readonly number[]): number => Math.max(...samples) / mib
    return { restMiB: (this.#samples[0] ?? 0) / mib, halfMiB: most(half), mostMiB: most(this.#samples) }
  }
}
