import type { UserId } from '../protocol/message.ts'
import type { Broker, BrokerListener, Envelope } from './broker.ts'

/** Connects the brokers of several instances within one process, for tests of what stands above a broker. */
export class MemoryBrokerHub {
  readonly #brokers: MemoryBroker[] = []

  connect(): MemoryBroker {
    const broker = new MemoryBroker(this)
    this.#brokers.push(broker)
    return broker
  }

  othersOf(broker: MemoryBroker): MemoryBroker[] {
    return this.#brokers.filter((other) => other !== broker)
  }
}

/** See `Broker`. Frames arrive in the next turn, and nothing is lost. */
export class MemoryBroker implements Broker {
  readonly isConnected = true
  readonly #hub: MemoryBrokerHub
  readonly #subscribed = new Set<UserId>()
  #listener: BrokerListener | undefined
  #batch: { userId: UserId; envelope: Envelope }[] = []

  constructor(hub: MemoryBrokerHub) {
    this.#hub = hub
  }

  listen(listener: BrokerListener): void {
    this.#listener = listener
  }

  async subscribe(userId: UserId): Promise<void> {
    this.#subscribed.add(userId)
  }

  unsubscribe(userId: UserId): void {
    this.#subscribed.delete(userId)
  }

  add(userId: UserId, envelope: Envelope): void {
    this.#batch.push({ userId, envelope })
  }

  flush(): void {
    const batch = this.#batch
    this.#batch = []
    setImmediate(() => {
      for (const other of this.#hub.othersOf(this)) other.#deliver(batch)
    })
  }

  async close(): Promise<void> {
    this.#listener = undefined
  }

  #deliver(batch: readonly { userId: UserId; envelope: Envelope }[]): void {
    for (const { userId, envelope } of batch) {
      if (this.#subscribed.has(userId)) this.#listener?.received(userId, [envelope])
    }
  }
}
