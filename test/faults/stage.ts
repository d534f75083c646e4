// A small play of a few people around one fault, judged by the checker and by what the play itself expects.
import { check } from './checker.ts'
import { Device, type DeviceOptions } from './device.ts'
import { conversationOf, type Event, MemoryHistory } from './history.ts'
import { type GivesUp, Outbox } from './outbox.ts'
import { Random } from './random.ts'
import { readConversation, readPositions } from './reading.ts'
import { until, type World } from './world.ts'

const SYNC_LIMIT_MS = 15_000
const NEVER: GivesUp = { afterError: 0, afterLoss: 0 }
/** A conversation that lost a push is made up for within this time while Redis is there. */
const HEALED_WITHIN_MS = 8_000
let stages = 0

interface DeviceChoices extends Pick<DeviceOptions, 'comparesHeads' | 'acks' | 'replyLimitMs'> {
  readonly givesUp?: GivesUp
  /** Until it is synced; true without. */
  readonly wait?: boolean
  /** Without the proxy between. */
  readonly isDirect?: boolean
}

export class Stage {
  readonly world: World
  readonly history = new MemoryHistory()
  readonly random: Random
  readonly #prefix: string
  readonly #devices: Device[] = []
  readonly #outboxes = new Map<string, Outbox>()
  readonly #complaints: string[] = []

  constructor(world: World, seed: number) {
    stages += 1
    this.#prefix = `s${stages}-`
    this.world = world
    this.random = new Random(seed)
  }

  /** A device on one instance, which it stays with; resolves when it is up to date. */
  async device(name: string, instance: number, options: DeviceChoices = {}): Promise<Device> {
    const user = this.user(name)
    const outbox = this.outbox(name, options.givesUp)
    const device = new Device({
      ...{
        user,
        name: `${user}/${this.#devices.length}`,
        ports: [options.isDirect ? this.world.instance(instance).directPort : this.world.instance(instance).port],
      },
      ...{ history: this.history, random: this.random, outbox },
      ...(options.comparesHeads !== undefined && { comparesHeads: options.comparesHeads }),
      ...(options.acks !== undefined && { acks: options.acks }),
      ...(options.replyLimitMs !== undefined && { replyLimitMs: options.replyLimitMs }),
    })
    this.#devices.push(device)
    device.open()
    if (options.wait !== false) await this.#until('a device to be synced', SYNC_LIMIT_MS, () => device.isSynced)
    return device
  }

  user(name: string): string {
    return this.#prefix + name
  }

  outbox(name: string, givesUp: GivesUp = NEVER): Outbox {
    const user = this.user(name)
    const outbox = this.#outboxes.get(user) ?? new Outbox(user, this.history, this.random, givesUp)
    this.#outboxes.set(user, outbox)
    return outbox
  }

  /** Sends over this device; resolves with the ids at once. */
  send(device: Device, name: string, count = 1, idStart = ''): string[] {
    const ids = Array.from({ length: count }, () => idStart + this.random.uuid().slice(idStart.length))
    for (const id of ids) this.write(device, name, id)
    device.pump()
    return ids
  }

  /** It leaves with the next that is sent, or when the device is told to. */
  write(device: Device, name: string, id = this.random.uuid()): void {
    this.#outboxes.get(device.user)?.write(this.user(name), id)
  }

  /** Resolves when every send has its outcome. */
  async settled(limitMs = 15_000): Promise<void> {
    await this.#until('outcomes', limitMs, () => [...this.#outboxes.values()].every(({ size }) => size === 0))
  }

  /** Complains unless it comes true in time. */
  async expect(what: string, limitMs: number, holds: () => Promise<boolean> | boolean): Promise<void> {
    await this.#until(what, limitMs, holds).catch((error: Error) => this.#complaints.push(`expected: ${error.message}`))
  }

  complain(text: string): void {
    this.#complaints.push(text)
  }

  /** What is wrong, in words; without looking at devices that were closed. */
  async verdict(options: { healedWithinMs?: number; expectLive?: boolean } = {}): Promise<string[]> {
    await this.world.heal()
    await this.settled().catch((error: Error) => this.complain(error.message))
    const reads = await this.#readAll()
    const isLevel = (): boolean => this.#devices.every((device) => this.#stands(device, reads))
    await this.#until('level', options.healedWithinMs ?? HEALED_WITHIN_MS, isLevel).catch(() => undefined)
    for (const device of this.#devices) device.standing('live')
    for (const read of reads) this.history.add(read)
    const port = this.world.instance(0).port
    for (const user of this.#outboxes.keys()) {
      for (const event of await readPositions(port, user)) this.history.add(event)
    }
    const { anomalies } = check([this.history.entries], { expectLive: options.expectLive !== false })
    for (const device of this.#devices) device.close()
    return [
      ...anomalies.map(({ name, count, examples }) => `${name} × ${count}: ${examples[0]}`),
      ...this.#complaints,
      ...this.world.surprises().map((line) => `surprise: ${line.slice(0, 300)}`),
    ]
  }

  /** Plays that share a machine with many others get longer. */
  #until(what: string, limitMs: number, holds: () => Promise<boolean> | boolean): Promise<number> {
    return until(what, limitMs * this.world.stretch, holds)
  }

  async #readAll(): Promise<Event[]> {
    const users = [...this.#outboxes.keys()]
    const port = this.world.instance(0).port
    const reads: Event[] = []
    for (const [index, user] of users.entries()) {
      for (const other of users.slice(index)) reads.push(await readConversation(port, user, other))
    }
    return reads
  }

  #stands(device: Device, reads: readonly Event[]): boolean {
    return reads.every((read) => {
      if (read.e !== 'read' || !conversationOf(read.u, read.w).split(' ').includes(device.user)) return true
      return device.head(read.u === device.user ? read.w : read.u) >= read.rows.length
    })
  }
}
