import { Arrivals } from '../../src/delivery/arrivals.ts'
import { Comparison } from '../../src/delivery/comparison.ts'
import { Continuity } from '../../src/delivery/continuity.ts'
import type { EncodedEvent } from '../../src/delivery/encoded.ts'
import { Healing, type HealingReason } from '../../src/delivery/healing.ts'
import type { Recipient } from '../../src/delivery/recipient.ts'
import { Connections } from '../../src/gateway/connections.ts'
import { CODECS } from '../../src/gateway/wire/codec.ts'
import { DependencyLog } from '../../src/lib/dependency-log.ts'
import { MemoryMessageStore } from '../../src/messages/store.memory.ts'
import { pendingMessage, positionChange } from './builders.ts'
import { FakeClock, settled } from './fake-clock.ts'
import { keepLogs } from './kept-logs.ts'

/** What one instance compares with a memory store; time passes by a fake clock, and the store's is its own. */
export class HealingBench {
  readonly clock: FakeClock
  /** Another one from now on, where it is replaced. */
  store: MemoryMessageStore
  /** How much the store's clock is ahead of this process's. */
  storeAheadMs = 0
  readonly users = new Connections<Recipient & { close(): void }>()
  readonly logs = keepLogs()
  /** As `user peer first seq`. */
  readonly replays: string[] = []
  /** As `user peer seq`. */
  readonly pushes: string[] = []
  /** Receipts, as `user frame`. */
  readonly receipts: string[] = []
  /** Conversations found behind, by look. */
  readonly looks: number[] = []
  /** And why it looked. */
  readonly reasons: HealingReason[] = []
  failures = 0
  /** Of each query for heads the number of its users; those for nobody, which ask for the time, are left out. */
  readonly queries: number[] = []
  /** Since when these asked, by the store's clock. */
  readonly sincesMs: number[] = []
  firstQueries = 0
  isConnected = true
  /** Runs before each query for heads is answered: may wait, or throw. */
  beforeAnswer: (users: readonly string[]) => Promise<void> | void = () => undefined
  announced: () => Promise<void> = () => Promise.resolve()
  afterLook: () => void = () => undefined
  readonly continuity: Continuity
  readonly arrivals: Arrivals
  readonly healing: Healing

  constructor() {
    this.clock = new FakeClock()
    this.store = this.newStore()
    const { clock, users } = this
    const health = new DependencyLog({ dependency: 'healing', logger: this.logs, clock })
    this.continuity = new Continuity({
      clock,
      replay: (user, peer, from) => void this.replays.push(`${user} ${peer} ${from}`),
    })
    const { continuity } = this
    const store = {
      recentHeads: (ids: readonly string[], sinceMs: number) => this.#recentHeads(ids, sinceMs),
      firstSince: (...args: Parameters<MemoryMessageStore['firstSince']>) => {
        this.firstQueries += 1
        return this.store.firstSince(...args)
      },
    }
    this.arrivals = new Arrivals({ store, continuity, health })
    this.healing = new Healing({
      comparison: new Comparison({ store, users, continuity, clock, announced: () => this.announced() }),
      users,
      clock,
      health,
      observer: {
        healed: (conversations, _, reason) => {
          this.looks.push(conversations)
          this.reasons.push(reason)
          this.afterLook()
        },
        healFailed: () => {
          this.failures += 1
        },
      },
      isConnected: () => this.isConnected,
    })
  }

  newStore(): MemoryMessageStore {
    return new MemoryMessageStore(() => this.clock.now() + this.storeAheadMs)
  }

  join(userId: string): void {
    const event = (encoded: EncodedEvent) => void this.receipts.push(`${userId} ${encoded.frame(CODECS.json)}`)
    const ignore = (): void => undefined
    this.users.add({ userId, message: ignore, event, mayLackBelow: ignore, replayFrom: ignore, close: ignore })
    this.continuity.joined(userId, this.healing.comparedMs)
  }

  arrive(userId: string): Promise<void> {
    return this.arrivals.arrived(userId, this.healing.comparedMs)
  }

  /** A message that another instance committed. */
  async commit(from: string, to: string): Promise<void> {
    await this.store.commit([pendingMessage(from, to)], [], 'fast')
  }

  async acknowledge(user: string, peer: string, delivered: number, read = 0): Promise<void> {
    await this.store.commit([], [positionChange(user, peer, { delivered, read })], 'fast')
  }

  /** Another's message arrives and is pushed. */
  push(user: string, peer: string, seq: number): void {
    const push = () => void this.pushes.push(`${user} ${peer} ${seq}`)
    this.continuity.offer(user, peer, { seq, asker: undefined, push })
  }

  /** Something may have been lost; resolves when nothing more happens without time passing. */
  async gap(): Promise<void> {
    this.healing.gap()
    await settled()
  }

  async #recentHeads(ids: readonly string[], sinceMs: number) {
    if (ids.length > 0) {
      this.queries.push(ids.length)
      this.sincesMs.push(sinceMs)
    }
    await this.beforeAnswer(ids)
    return this.store.recentHeads(ids, sinceMs)
  }
}
