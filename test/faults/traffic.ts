// Some people who write to each other without a pause, while something is done to the service.
import type { Device } from './device.ts'
import type { GivesUp } from './outbox.ts'
import type { Stage } from './stage.ts'

const TICK_MS = 20
/** Whoever waits for so many outcomes writes no more. */
const MAX_WAITING = 300

export interface TrafficOptions {
  readonly people: number
  readonly perSecond: number
  readonly givesUp?: GivesUp
  /** Without the proxies between, which cost more than the people. */
  readonly isDirect?: boolean
}

export class Traffic {
  readonly #stage: Stage
  readonly #names: readonly string[]
  readonly #devices: readonly Device[]
  readonly #perSecond: number
  #timer: NodeJS.Timeout | undefined
  #credit = 0
  #lastMs = 0
  /** Sends that were written so far. */
  written = 0

  private constructor(stage: Stage, names: readonly string[], devices: readonly Device[], perSecond: number) {
    this.#stage = stage
    this.#names = names
    this.#devices = devices
    this.#perSecond = perSecond
  }

  /** Spread over all instances; resolves when everybody is up to date. */
  static async among(stage: Stage, { people, perSecond, givesUp, ...rest }: TrafficOptions): Promise<Traffic> {
    const names = Array.from({ length: people }, (_, index) => `p${index}`)
    const options = { ...rest, ...(givesUp && { givesUp }) }
    const place = (index: number): number => index % stage.world.instances.length
    const devices = await Promise.all(names.map((name, index) => stage.device(name, place(index), options)))
    return new Traffic(stage, names, devices, perSecond)
  }

  start(): void {
    if (this.#timer) return
    this.#lastMs = performance.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** What has no outcome yet is still repeated by the devices. */
  pause(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  get waiting(): number {
    return this.#names.reduce((sum, name) => sum + this.#stage.outbox(name).size, 0)
  }

  close(): void {
    this.pause()
    for (const device of this.#devices) device.close()
  }

  #tick(): void {
    const { random } = this.#stage
    // By the time that went by: on a busy machine ticks come late. A long pause is not made up for whole.
    const nowMs = performance.now()
    this.#credit = Math.min(this.#credit + (this.#perSecond * (nowMs - this.#lastMs)) / 1000, this.#perSecond / 2)
    this.#lastMs = nowMs
    const writers = new Set<Device>()
    for (; this.#credit >= 1; this.#credit -= 1) {
      const index = random.below(this.#names.length)
      const device = this.#devices[index]
      const isWilling = this.#stage.outbox(this.#names[index] ?? '').size < MAX_WAITING
      if (!device || !isWilling) continue
      this.#stage.write(device, random.pick(this.#names))
      this.written += 1
      writers.add(device)
    }
    // Each looks through all that it has to send, so once for all of a tick.
    for (const device of writers) device.pump()
  }
}
