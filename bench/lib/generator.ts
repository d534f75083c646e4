import { performance } from 'node:perf_hooks'
import { LoadConnection } from './connection.ts'
import { LatencyHistogram } from './histogram.ts'
import type { GeneratorPlan, GeneratorResult } from './load-plan.ts'
import { Pacer } from './pacer.ts'
import { conversationFaults, soloFaults } from './verify.ts'
import { wireOf } from './wire.ts'

const connectAtOnce = 50
const drainDeadlineMs = 10_000
const faultsKept = 5

interface Conversation {
  readonly a: LoadConnection
  readonly b: LoadConnection | undefined
}

/** Carries out one generator's share of a load: connect → start → begin … end → finish. */
export class LoadGenerator {
  readonly #plan: GeneratorPlan
  readonly #conversations: Conversation[] = []
  readonly #faults: string[] = []
  readonly #ack = new LatencyHistogram()
  readonly #deliver = new LatencyHistogram()
  readonly #lag = new LatencyHistogram()
  #pacer: Pacer | undefined
  #sending = false
  #measuring = false
  #acked = 0
  #welcomed = 0
  #onProgress: (() => void) | undefined
  #window = { startMs: 0, seconds: 0, cpuUs: 0, utilisation: 0 }
  #cpuAtBegin = process.cpuUsage()
  #loopAtBegin = performance.eventLoopUtilization()

  constructor(plan: GeneratorPlan) {
    this.#plan = plan
  }

  /** Opens all sockets, some at a time: the backlog of a listening socket is short. */
  async connect(): Promise<void> {
    const perPair = this.#plan.solo ? 1 : 2
    const [port, peerPort] = this.#plan.ports
    for (const [first, second] of this.#plan.pairs) {
      const b: { socket?: LoadConnection } = {}
      if (!this.#plan.solo) b.socket = this.#open({ userId: second, peerId: first, port: peerPort }, () => a)
      const a = this.#open({ userId: first, peerId: second, port }, () => b.socket)
      this.#conversations.push({ a, b: b.socket })
      const opened = this.#conversations.length * perPair
      if (opened % connectAtOnce < perPair) await this.#until(() => this.#welcomed >= opened)
    }
    await this.#until(() => this.#welcomed >= this.#plan.pairs.length * perPair)
  }

  start(): void {
    this.#sending = true
    if (this.#plan.ratePerSecond > 0) this.#pacer = this.#paced()
    else for (const connection of this.#sockets()) connection.send(this.#plan.inFlight, performance.now())
  }

  begin(): void {
    this.#cpuAtBegin = process.cpuUsage()
    this.#loopAtBegin = performance.eventLoopUtilization()
    this.#window.startMs = performance.now()
    this.#measuring = true
  }

  end(): void {
    this.#measuring = false
    const cpu = process.cpuUsage(this.#cpuAtBegin)
    this.#window.seconds = (performance.now() - this.#window.startMs) / 1000
    this.#window.cpuUs = cpu.user + cpu.system
    this.#window.utilisation = performance.eventLoopUtilization(this.#loopAtBegin).utilization
  }

  /** Stops sending, waits until everything sent has come back, and checks the counts. */
  async finish(): Promise<GeneratorResult> {
    this.#sending = false
    this.#pacer?.stop()
    for (const connection of this.#sockets()) connection.stopOffering()
    await this.#until(() => this.#conversations.every(isSettled))
    for (const { a, b } of this.#conversations) {
      this.#faults.push(...(b === undefined ? soloFaults(a) : conversationFaults(a, b, this.#plan.numbering)))
    }
    for (const connection of this.#sockets()) connection.close()
    return this.#result()
  }

  #result(): GeneratorResult {
    const { seconds, cpuUs, utilisation } = this.#window
    return {
      acked: this.#acked,
      seconds,
      cpuUs,
      utilisation,
      ack: { counts: this.#ack.counts, maxMs: this.#ack.maxMs },
      deliver: { counts: this.#deliver.counts, maxMs: this.#deliver.maxMs },
      lag: { counts: this.#lag.counts, maxMs: this.#lag.maxMs },
      conversations: this.#conversations.map(({ a, b }) => ({
        users: [a.plan.userId, a.plan.peerId],
        messages: a.sent + (b?.sent ?? 0),
      })),
      faults: this.#faults.slice(0, faultsKept),
    }
  }

  #open(
    who: { readonly userId: string; readonly peerId: string; readonly port: number },
    peer: () => LoadConnection | undefined,
  ): LoadConnection {
    const { host, contentBytes, ackEvery } = this.#plan
    const plan = { ...who, host, wire: wireOf(this.#plan.wire), content: 'x'.repeat(contentBytes), ackEvery }
    return new LoadConnection(plan, {
      welcomed: () => {
        this.#welcomed++
        this.#onProgress?.()
      },
      acked: (connection, count) => this.#takeAcked(connection, count),
      delivered: (connection, count) => this.#takeDelivered(peer(), connection.delivered - count, count),
      failed: (reason) => this.#fail(reason),
    })
  }

  #takeAcked(connection: LoadConnection, count: number): void {
    const now = performance.now()
    if (this.#sending && this.#plan.ratePerSecond === 0) connection.send(count, now)
    if (this.#measuring) {
      this.#acked += count
      const end = connection.acked
      for (let index = end - count; index < end; index++) this.#ack.record(now - connection.intendedMs(index))
    }
    if (!this.#sending) this.#onProgress?.()
  }

  /** Pushes come in the order of the peer's sends, so the n-th push belongs to its n-th message. */
  #takeDelivered(sender: LoadConnection | undefined, first: number, count: number): void {
    if (this.#measuring && sender !== undefined) {
      const now = performance.now()
      for (let index = first; index < first + count; index++) this.#deliver.record(now - sender.intendedMs(index))
    }
    if (!this.#sending) this.#onProgress?.()
  }

  #paced(): Pacer {
    const senders = this.#sockets()
    let turn = 0
    return new Pacer(this.#plan.ratePerSecond, this.#plan.seed, (intendedMs) => {
      senders[turn++ % senders.length]?.offer(intendedMs)
      if (this.#measuring) this.#lag.record(performance.now() - intendedMs)
    })
  }

  #sockets(): LoadConnection[] {
    return this.#conversations.flatMap(({ a, b }) => (b === undefined ? [a] : [a, b]))
  }

  /** A failed load is void: nothing more is sent, and whoever waits is let go. */
  #fail(reason: string): void {
    if (this.#faults.length < faultsKept) this.#faults.push(reason)
    this.#sending = false
    this.#pacer?.stop()
    this.#onProgress?.()
  }

  async #until(isReached: () => boolean): Promise<void> {
    if (isReached() || this.#faults.length > 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, drainDeadlineMs)
      this.#onProgress = () => {
        if (!isReached() && this.#faults.length === 0) return
        clearTimeout(deadline)
        resolve()
      }
    })
    this.#onProgress = undefined
  }
}

function isSettled({ a, b }: Conversation): boolean {
  const areAcked = a.inFlight === 0 && (b?.inFlight ?? 0) === 0
  return areAcked && (b === undefined || (a.delivered === b.sent && b.delivered === a.sent))
}
