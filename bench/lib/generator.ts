import { performance } from 'node:perf_hooks'
import { LoadConnection, type Peer } from './connection.ts'
import { LatencyHistogram } from './histogram.ts'
import { type GeneratorPlan, type GeneratorResult, peersOf, userIdOf } from './load-plan.ts'
import { Pacer } from './pacer.ts'
import { type ConversationCount, conversationFaults, soloFaults } from './verify.ts'
import type { Wire } from './wire.ts'
import { wireOf } from './wires.ts'

const connectAtOnce = 50
const drainDeadlineMs = 10_000
/** A server that stores each message by itself takes its time for the first of every conversation, and for making those. */
const openDeadlineMs = 60_000
const faultsKept = 5

/** Carries out one generator's share of a load: connect → open, if wanted → start → begin … end → finish. */
export class LoadGenerator {
  readonly #plan: GeneratorPlan
  readonly #wire: Wire
  readonly #connections = new Map<number, LoadConnection>()
  readonly #faults: string[] = []
  readonly #ack = new LatencyHistogram()
  readonly #deliver = new LatencyHistogram()
  readonly #lag = new LatencyHistogram()
  #pacer: Pacer | undefined
  #sending = false
  /** How many messages each connection sends at most. */
  #mostEach = Number.POSITIVE_INFINITY
  #measuring = false
  #acked = 0
  #welcomed = 0
  #onProgress: (() => void) | undefined
  #window = { startMs: 0, seconds: 0, cpuUs: 0, utilisation: 0 }
  #cpuAtBegin = process.cpuUsage()
  #loopAtBegin = performance.eventLoopUtilization()

  constructor(plan: GeneratorPlan) {
    this.#plan = plan
    this.#wire = wireOf(plan.wire, plan.accounts)
  }

  /** Opens all sockets, some at a time: the backlog of a listening socket is short. Then all say what is left to be said. */
  async connect(): Promise<void> {
    for (const person of this.#plan.people) {
      this.#connections.set(person, this.#connect(person))
      const opened = this.#connections.size
      if (opened % connectAtOnce === 0) await this.#untilWelcomed(opened)
    }
    const people = this.#connections.size
    await this.#untilWelcomed(people)
    const rounds = Math.max(0, ...this.#sockets().map(({ greetingRounds }) => greetingRounds))
    for (let round = 1; round < rounds; round++) {
      for (const connection of this.#sockets()) connection.greet(round)
      await this.#untilWelcomed(people * (round + 1))
    }
  }

  /** Has everybody write to all of their peers, and waits for what comes of it. */
  async open(): Promise<void> {
    this.#sending = true
    this.#mostEach = this.#plan.peersEach
    this.#fill()
    const isOpen = () => this.#isSettled() && this.#sockets().every(({ sent }) => sent >= this.#mostEach)
    await this.#until(isOpen, openDeadlineMs)
    this.#mostEach = Number.POSITIVE_INFINITY
  }

  start(): void {
    this.#sending = true
    if (this.#plan.ratePerSecond > 0) this.#pacer = this.#paced()
    else this.#fill()
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
    await this.#until(() => this.#isSettled())
    const conversations = this.#counted()
    for (const connection of this.#sockets()) connection.close()
    return this.#result(conversations)
  }

  /** Every conversation once, checked. */
  #counted(): ConversationCount[] {
    for (const { sent, acked, plan } of this.#sockets()) {
      if (acked !== sent) this.#faults.push(`${plan.userId}: sent ${sent} but acked ${acked}`)
    }
    return this.#sockets().flatMap((connection) =>
      connection.plan.peers.flatMap(({ person, userId }, slot): ConversationCount[] => {
        const peer = this.#connections.get(person)
        const ours = connection.tallyWith(slot)
        const theirs = peer?.tallyWith(peer.slotOf(connection.person))
        if (peer !== undefined && person < connection.person) return []
        const isOneInstance = connection.plan.port === peer?.plan.port
        const numbering = this.#plan.numbering === 'instance' && isOneInstance ? 'conversation' : this.#plan.numbering
        this.#faults.push(...(theirs ? conversationFaults(ours, theirs, numbering) : soloFaults(ours)))
        return [{ users: [ours.userId, userId], messages: ours.sent + (theirs?.sent ?? 0) }]
      }),
    )
  }

  #result(conversations: readonly ConversationCount[]): GeneratorResult {
    const { seconds, cpuUs, utilisation } = this.#window
    return {
      acked: this.#acked,
      seconds,
      cpuUs,
      utilisation,
      ack: this.#ack.packed(),
      deliver: this.#deliver.packed(),
      lag: this.#lag.packed(),
      conversations,
      faults: this.#faults.slice(0, faultsKept),
    }
  }

  #connect(person: number): LoadConnection {
    const { host, ports, userPrefix, contentBytes, burst, ackEvery } = this.#plan
    const who = (number: number): Peer => ({ person: number, userId: userIdOf(userPrefix, number) })
    const plan = {
      ...who(person),
      peers: peersOf(person, this.#plan).map(who),
      host,
      port: ports[person & 1] ?? 0,
      wire: this.#wire,
      content: 'x'.repeat(contentBytes),
      burst,
      ackEvery,
    }
    return new LoadConnection(plan, {
      welcomed: () => {
        this.#welcomed++
        this.#onProgress?.()
      },
      acked: (connection, count) => this.#takeAcked(connection, count),
      delivered: (connection, slot, nth) => this.#takeDelivered(connection, slot, nth),
      progressed: () => this.#onProgress?.(),
      failed: (reason) => this.#fail(reason),
    })
  }

  #takeAcked(connection: LoadConnection, count: number): void {
    const now = connection.chunkMs
    const room = this.#mostEach - connection.sent
    if (this.#sending && this.#plan.ratePerSecond === 0) connection.send(Math.min(count, room), now)
    if (this.#measuring) {
      this.#acked += count
      const end = connection.acked
      for (let index = end - count; index < end; index++) this.#ack.record(now - connection.repliedMs(index))
    }
  }

  /** Pushes come in the order of the peer's sends, so the n-th push belongs to its n-th message to this person. */
  #takeDelivered(receiver: LoadConnection, slot: number, nth: number): void {
    if (!this.#measuring) return
    const peer = receiver.plan.peers[slot]
    const sender = peer && this.#connections.get(peer.person)
    if (sender === undefined) return
    const index = nth * sender.plan.peers.length + sender.slotOf(receiver.person)
    this.#deliver.record(receiver.chunkMs - sender.intendedMs(index))
  }

  /** What may be in flight of each. */
  #fill(): void {
    const now = performance.now()
    for (const connection of this.#sockets()) {
      // An open loop has no window of its own.
      const room = Math.min(this.#plan.inFlight || this.#plan.peersEach, this.#mostEach - connection.sent)
      connection.send(room, now)
    }
  }

  #isSettled(): boolean {
    let [sent, acked, expected, delivered] = [0, 0, 0, 0]
    const isSolo = this.#connections.size === 1
    const pushesEach = this.#wire.pushesBoth ? 2 : 1
    for (const connection of this.#connections.values()) {
      sent += connection.sent
      acked += connection.acked
      expected += isSolo ? 0 : connection.sent * pushesEach
      delivered += connection.delivered
    }
    return acked === sent && delivered === expected
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
    return [...this.#connections.values()]
  }

  /** A failed load is void: nothing more is sent, and whoever waits is let go. */
  #fail(reason: string): void {
    if (this.#faults.length < faultsKept) this.#faults.push(reason)
    this.#sending = false
    this.#pacer?.stop()
    this.#onProgress?.()
  }

  /** How often somebody was: each once in each round. */
  async #untilWelcomed(times: number): Promise<void> {
    await this.#until(() => this.#welcomed >= times, openDeadlineMs)
    if (this.#welcomed < times) this.#fail(`welcomed ${this.#welcomed} times, not ${times}`)
  }

  async #until(isReached: () => boolean, deadlineMs = drainDeadlineMs): Promise<void> {
    if (isReached() || this.#faults.length > 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, deadlineMs)
      this.#onProgress = () => {
        if (!isReached() && this.#faults.length === 0) return
        clearTimeout(deadline)
        resolve()
      }
    })
    this.#onProgress = undefined
  }
}
