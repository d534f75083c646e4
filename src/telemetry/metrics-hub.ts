import { AggregatorRegistry, type MetricObject, type Registry } from 'prom-client'
import type { Clock } from '../lib/clock.ts'

/** What one process counts, as its registry tells it. */
export type Snapshot = readonly MetricObject[]

/** What a worker says to the process that started it. */
export type FromWorker =
  | { readonly metrics: 'here' }
  | { readonly metrics: 'wanted'; readonly ask: number }
  | { readonly metrics: 'mine'; readonly round: number; readonly snapshot: Snapshot }

/** What that process says to a worker. */
export type ToWorker =
  | { readonly metrics: 'tell'; readonly round: number }
  | { readonly metrics: 'of all'; readonly ask: number; readonly text: string }

/** How long a worker that hangs keeps the others from an answer. */
export const ANSWER_LIMIT_MS = 1_000

interface Worker {
  readonly send: (message: ToWorker) => void
  /** One that is still loading is not waited for. */
  isHere: boolean
  latest: Snapshot
}

interface Round {
  readonly number: number
  /** Who has not told yet. */
  readonly missing: Set<Worker>
  readonly complete: () => void
}

/** Whatever happens to a process, what it counted was counted. */
const LASTING = ['counter', 'histogram', 'summary']

/**
 * Adds up what the processes on one port count, because a scrape reaches any of them. No counter goes back by it: of one that
 * hangs, and of one that has ended, the numbers are those that it told last.
 */
export class MetricsHub {
  readonly #clock: Pick<Clock, 'after'>
  readonly #workers = new Map<number, Worker>()
  #ended: Snapshot[] = []
  #round: Round | undefined
  #rounds = 0
  #text: Promise<string> | undefined

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** `send` may lose a message: then it is as if that worker hung. */
  joined(index: number, send: (message: ToWorker) => void): void {
    this.#workers.set(index, { send, isHere: false, latest: [] })
  }

  left(index: number): void {
    const worker = this.#workers.get(index)
    if (!worker) return
    this.#workers.delete(index)
    this.#ended.push(worker.latest.filter(({ type }) => LASTING.includes(String(type))))
    this.#told(worker)
  }

  heard(index: number, message: FromWorker): void {
    const worker = this.#workers.get(index)
    if (!worker) return
    worker.isHere = true
    if (message.metrics === 'here') return
    if (message.metrics === 'wanted') {
      const answer = (text: string): void => worker.send({ metrics: 'of all', ask: message.ask, text })
      // Whoever asked gives up by itself; the process that holds all others does not end over a number.
      void this.#ofAll().then(answer, () => undefined)
      return
    }
    // An earlier round's would take back what is known by now.
    if (message.round !== this.#round?.number) return
    worker.latest = message.snapshot
    this.#told(worker)
  }

  /** Whoever asks while a round is under way gets its result. */
  #ofAll(): Promise<string> {
    this.#text ??= this.#askAll().finally(() => {
      this.#text = undefined
    })
    return this.#text
  }

  async #askAll(): Promise<string> {
    this.#rounds += 1
    const number = this.#rounds
    const asked = [...this.#workers.values()].filter(({ isHere }) => isHere)
    await new Promise<void>((over) => {
      const cancel = this.#clock.after(ANSWER_LIMIT_MS, over)
      const complete = (): void => {
        cancel()
        over()
      }
      this.#round = { number, missing: new Set(asked), complete }
      for (const { send } of asked) send({ metrics: 'tell', round: number })
    })
    this.#round = undefined
    const ended = this.#ended.splice(0)
    if (ended.length > 0) this.#ended.unshift(await together(ended).getMetricsAsJSON())
    return together([...this.#ended, ...[...this.#workers.values()].map(({ latest }) => latest)]).metrics()
  }

  #told(worker: Worker): void {
    if (!this.#round?.missing.delete(worker)) return
    if (this.#round.missing.size === 0) this.#round.complete()
  }
}

function together(snapshots: readonly Snapshot[]): Registry {
  return AggregatorRegistry.aggregate(snapshots.map((one) => [...one]))
}
