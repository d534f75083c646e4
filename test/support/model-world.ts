// Everything between the sockets and the store, real; the sockets, the devices and the people are played.

import { expect } from 'vitest'
import { Connection } from '../../src/gateway/connection.ts'
import { CODECS } from '../../src/gateway/wire/codec.ts'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { ModelDevice } from './model-device.ts'
import type { Activity } from './model-faults.ts'
import type { ModelInstance } from './model-instance.ts'
import { PlayedSocket } from './played-socket.ts'

/** What must be true whatever happens: who wrote what in which order, and how far everybody has come. */
export class Model {
  /** Message ids in the order in which they reached the service, by conversation. */
  readonly #logs = new Map<string, { id: string; sender: string }[]>()
  readonly #acknowledged = new Map<string, { delivered: number; read: number }>()

  sent(sender: string, receiver: string, id: string): void {
    const log = this.log(sender, receiver)
    if (!log.some((known) => known.id === id)) log.push({ id, sender })
  }

  /** Of several instances only the store knows whose message came first: from here on the log is in its order. */
  ordered(a: string, b: string, ids: readonly string[]): void {
    const log = this.log(a, b)
    expect([...ids].sort(), `what is stored of ${a} and ${b}`).toEqual(log.map(({ id }) => id).sort())
    log.sort((one, other) => ids.indexOf(one.id) - ids.indexOf(other.id))
  }

  log(a: string, b: string): { id: string; sender: string }[] {
    const { key } = conversationBetween(a, b)
    const known = this.#logs.get(key) ?? []
    this.#logs.set(key, known)
    return known
  }

  moved(user: string, other: string, delivered: number, read: number): void {
    const known = this.acknowledged(user, other)
    known.delivered = Math.max(known.delivered, delivered)
    known.read = Math.max(known.read, read)
  }

  acknowledged(user: string, other: string): { delivered: number; read: number } {
    const key = `${user} of ${conversationBetween(user, other).key}`
    const known = this.#acknowledged.get(key) ?? { delivered: 0, read: 0 }
    this.#acknowledged.set(key, known)
    return known
  }
}

export class World {
  readonly model = new Model()
  readonly devices: readonly ModelDevice[]
  readonly users: readonly string[]
  readonly activity: Activity
  readonly #instances: readonly ModelInstance[]

  constructor(instances: readonly ModelInstance[], activity: Activity, users: readonly string[]) {
    this.activity = activity
    this.users = users
    this.#instances = instances
    // Each person has one device that acknowledges itself and one that is acknowledged by delivery.
    this.devices = users.flatMap((user) => [false, true].map((implicit) => new ModelDevice(this, user, implicit)))
  }

  /** Where there are several instances, a device comes to another one each time. */
  open(device: ModelDevice): { connection: Connection; socket: PlayedSocket } {
    const identity = {
      userId: device.user,
      connectionId: device.name,
      address: '127.0.0.1',
      codec: CODECS.json,
      implicit: device.implicit,
    }
    const turn = this.devices.indexOf(device) + device.closeCodes.length
    const { services } = this.#instances[turn % this.#instances.length] as ModelInstance
    const connection = new Connection(identity, services, { release: () => undefined })
    const socket: PlayedSocket = new PlayedSocket(
      connection,
      (frame) => device.received(JSON.parse(frame)),
      (code) => device.closed(socket, code),
    )
    return { connection, socket }
  }

  async quiet(): Promise<void> {
    do await this.activity.quiet()
    while (this.#instances.some(({ writer }) => writer.queuedRows > 0 || writer.oldestAgeMs > 0))
  }
}
