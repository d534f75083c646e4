import { Counter, Histogram, type Registry } from 'prom-client'
import { addGauge } from './gauge.ts'

export interface PushSources {
  subscribers(): number
  pending(): number
}

const LAG_BOUNDS = [1, 2, 5, 10, 20, 60, 300, 3_600]
const SWEEP_BOUNDS = [0.005, 0.02, 0.1, 0.5, 1, 5]

/** What push does, by the class of the push service: never by its host, which a stranger may choose. */
export class PushMetrics {
  readonly #registry: Registry
  #collapsed = 0
  readonly #due: Counter
  readonly #cancelled: Counter
  readonly #givenUp: Counter
  readonly #answers: Counter
  readonly #lag: Histogram
  readonly #found: Counter
  readonly #sweepSeconds: Histogram

  constructor(registry: Registry) {
    this.#registry = registry
    const registers = [registry]
    const counter = (name: string, help: string) => new Counter({ name, help, registers })
    this.#due = counter('messaging_push_due_total', 'Notifications that were to be sent, or got something more to tell')
    this.#cancelled = counter('messaging_push_cancelled_total', 'Notifications that were not needed any more')
    this.#givenUp = counter('messaging_push_given_up_total', 'Notifications that no push service took in time')
    this.#answers = new Counter({
      name: 'messaging_push_answers_total',
      help: 'Pushes by class of the push service and what it said: sent, gone, too_large, busy, failed, refused, bad',
      labelNames: ['service', 'outcome'],
      registers,
    })
    this.#lag = new Histogram({
      name: 'messaging_push_lag_seconds',
      help: 'From a message to the notification of it',
      buckets: LAG_BOUNDS,
      registers,
    })
    this.#found = counter(
      'messaging_push_swept_total',
      'Notifications that an instance was killed over and another found',
    )
    this.#sweepSeconds = new Histogram({
      name: 'messaging_push_sweep_seconds',
      help: 'Time of one look for forgotten notifications',
      buckets: SWEEP_BOUNDS,
      registers,
    })
    this.#countCollapsed()
  }

  /** Adds what others hold; to be called once, where push is on. */
  readFrom({ subscribers, pending }: PushSources): void {
    const help = 'Users with a push subscription'
    // Each process knows all of them.
    addGauge(this.#registry, { name: 'messaging_push_subscribers', help, together: 'max', read: subscribers })
    addGauge(this.#registry, {
      name: 'messaging_push_pending',
      help: 'Conversations of users that may have to be notified',
      read: pending,
    })
  }

  pushesDue(count: number): void {
    this.#due.inc(count)
  }

  /** On the message path: a plain number. */
  pushesCollapsed(count: number): void {
    this.#collapsed += count
  }

  pushesCancelled(count: number): void {
    this.#cancelled.inc(count)
  }

  pushesGivenUp(count: number): void {
    this.#givenUp.inc(count)
  }

  pushAnswered(service: string, outcome: string): void {
    this.#answers.inc({ service, outcome })
  }

  pushLag(seconds: number): void {
    this.#lag.observe(seconds)
  }

  pushSwept(found: number, durationMs: number): void {
    this.#found.inc(found)
    this.#sweepSeconds.observe(durationMs / 1000)
  }

  #countCollapsed(): void {
    const collapsed = (): number => this.#collapsed
    new Counter({
      name: 'messaging_push_collapsed_total',
      help: 'Messages that became part of a notification that waited already',
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(collapsed())
      },
    })
  }
}
