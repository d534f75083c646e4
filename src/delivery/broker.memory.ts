import type { UserId } from '../protocol/message.ts'
import type { Broker, BrokerListener, Envelope } from './broker.ts'
import type { ControlMessage } from './control-codec.ts'

type Batch = readonly { readonly userId: UserId; readonly envelope: Envelope }[]

/** Decides what becomes of a batch on its way to one other broker: exactly one of the two is to be called, now or later. */
export type Carry = (deliver: () => void, lost: () => void) => void

/** Connects the brokers of several instances within one process, for tests of what stands above a broker. */
export class MemoryBrokerHub {
  readonly #brokers: MemoryBroker[] = []
  readonly #carry: Carry

  /** Without `carry` batches arrive in the next turn, and nothing is lost. */
  constructor(carry: Carry = (deliver) => void setImmediate(deliver)) {
    this.#carry = carry
  }

  connect(): MemoryBroker {
    const broker = new MemoryBroker(this)
    this.#brokers.push(broker)
    return broker
  }

  /** From this broker to all others. */
  carry(batch: Batch, from: MemoryBroker): void {
    for (const broker of this.othersOf(from)) {
      this.#carry(
        () => broker.deliver(batch),
        () => broker.told({ kind: 'gap' }),
      )
    }
  }

  othersOf(broker: MemoryBroker): MemoryBroker[] {
    return this.#brokers.filter((peer) => peer !== broker)
  }
}

/** See `Broker`. */
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
    this.#hub.carry(batch, this)
  }

  offer(userId: UserId, envelope: Envelope): void {
    setImmediate(() => {
      for (const broker of this.#hub.othersOf(this)) broker.deliver([{ userId, envelope }])
    })
  }

  tell(message: ControlMessage): void {
    setImmediate(() => {
      for (const broker of this.#hub.othersOf(this)) broker.told(message)
    })
  }

  async close(): Promise<void> {
    this.#listener = undefined
  }

  /** For the hub: as if another instance had told it. */
  told(message: ControlMessage): void {
    if (message.kind === 'gap') this.#listener?.gap()
    else this.#listener?.told(message)
  }

  /** For the hub. */
  deliver(batch: Batch): void {
    for (const { userId, envelope } of batch) {
      if (this.#subscribed.has(userId)) this.#listener?.received(userId, [envelope])
    }
  }
}
