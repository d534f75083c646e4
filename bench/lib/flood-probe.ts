import { setTimeout as wait } from 'node:timers/promises'
import type { FloodResult } from './flood-plan.ts'
import { FloodUser } from './flood-user.ts'
import { LatencyHistogram, type LatencySummary } from './histogram.ts'
import { VoidRun } from './load.ts'

const gapMs = 20
const contentBytes = 100
const longestRecoveryMs = 12_000

interface ProbePlan {
  readonly host: string
  readonly port: number
  readonly userPrefix: string
}

/** Somebody who sends one message at a time, fifty a second, to a friend who takes them. */
export class Probe {
  readonly #sender: FloodUser
  readonly #receiver: FloodUser
  #latency = new LatencyHistogram()
  #lastSlowMs = 0
  #slowFromMs = Number.POSITIVE_INFINITY
  #ticking: NodeJS.Timeout | undefined
  readonly #faults: string[] = []

  constructor({ host, port, userPrefix }: ProbePlan) {
    const who = { host, port, contentBytes, keepsLimit: true, comeBackMs: 0 }
    const one = (userId: string, peerId: string) =>
      new FloodUser(
        { ...who, userId: userPrefix + userId, peerId: userPrefix + peerId },
        {
          welcomed: () => undefined,
          synced: () => undefined,
          answered: (ageMs, code) => this.#answered(ageMs, code),
          pushed: () => undefined,
          closed: () => undefined,
          failed: (reason) => this.#faults.push(reason),
        },
      )
    this.#sender = one('probe', 'friend')
    this.#receiver = one('friend', 'probe')
  }

  async start(): Promise<void> {
    await this.#until(() => this.#sender.isConnected && this.#receiver.isConnected)
    this.#ticking = setInterval(() => this.#sender.send(1, performance.now()), gapMs)
  }

  /** Latencies since it was last asked. */
  taken(): LatencySummary {
    const summary = this.#latency.summary()
    this.#latency = new LatencyHistogram()
    return summary
  }

  /** How long from now until the last slow or missing answer, in milliseconds. */
  async back(slowFromMs: number, calmForMs: number): Promise<number> {
    const startMs = performance.now()
    this.#slowFromMs = slowFromMs
    this.#lastSlowMs = startMs
    for (;;) {
      await wait(gapMs)
      const nowMs = performance.now()
      if (this.#sender.unanswered > Math.ceil(slowFromMs / gapMs)) this.#lastSlowMs = nowMs
      if (nowMs - this.#lastSlowMs > calmForMs || nowMs - startMs > longestRecoveryMs) return this.#lastSlowMs - startMs
    }
  }

  async finish(): Promise<Pick<FloodResult, 'conversations' | 'faults'>> {
    clearInterval(this.#ticking)
    const { plan } = this.#sender
    await this.#until(() => this.#sender.unanswered === 0 && this.#receiver.held.size === this.#sender.acked.size)
    return {
      conversations: [{ users: [plan.userId, plan.peerId], messages: this.#sender.acked.size }],
      faults: this.#faults,
    }
  }

  close(): void {
    clearInterval(this.#ticking)
    this.#sender.close()
    this.#receiver.close()
  }

  #answered(ageMs: number, code: string | undefined): void {
    this.#latency.record(ageMs)
    if (ageMs > this.#slowFromMs || code !== undefined) this.#lastSlowMs = performance.now()
  }

  async #until(isReached: () => boolean): Promise<void> {
    for (const endMs = performance.now() + longestRecoveryMs; !isReached(); await wait(gapMs)) {
      if (performance.now() > endMs || this.#faults.length > 0)
        throw new VoidRun(`overload: the probe has failed: ${this.#faults[0] ?? 'an answer did not come'}`)
    }
  }
}
