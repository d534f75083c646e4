import { type Clock, sleep } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { VapidKey } from './vapid.ts'

/** What all instances of a database share, and what is made once. */
export interface PushKeys {
  readonly vapid: VapidKey
  /** Those that were in use before: subscriptions that were made with one of them are signed for with it. */
  readonly retired: readonly VapidKey[]
  /** Makes names of conversations that tell nothing. */
  readonly tagSecret: Buffer
}

export interface PushKeyStore {
  /** The keys in use, made if there are none. Rejects when the database refuses or is away. */
  read(): Promise<PushKeys>
}

export interface SharedKeysOptions {
  readonly store: PushKeyStore
  readonly clock: Clock
  readonly health: Pick<DependencyLog, 'failed' | 'works'>
}

/** A subscription by an unknown key makes one look so often at most; also the pause after a look that failed. */
const LOOK_AGAIN_MS = 1_000
const PART = 'keys of push'

/** The keys as they were last read. They are the database's: one that was set back may hold others. */
export class SharedKeys {
  readonly #options: SharedKeysOptions
  #keys: PushKeys | undefined
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  #isAskedAgain = false
  #isClosed = false

  constructor(options: SharedKeysOptions) {
    this.#options = options
  }

  /** Throws before the start. */
  get current(): PushKeys {
    if (!this.#keys) throw new Error('the keys of push were not read')
    return this.#keys
  }

  /** Rejects when the database is away. */
  async start(): Promise<void> {
    this.#keys = await this.#options.store.read()
  }

  /** Undefined for a key that is neither in use nor retired; then it is looked whether that has changed. */
  vapid(kid: string): VapidKey | undefined {
    const { vapid, retired } = this.current
    if (vapid.kid === kid) return vapid
    const known = retired.find((one) => one.kid === kid)
    if (known) return known
    if (this.#options.clock.now() - this.#lookedAtMs >= LOOK_AGAIN_MS) void this.read()
    return undefined
  }

  /** Reads them again, as after a change of epoch, until the database has answered. Never rejects. */
  read(): Promise<void> {
    // A look that is under way may have read what was there before.
    this.#isAskedAgain = true
    this.#looking ??= this.#readUntilAnswered().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#isClosed = true
  }

  async #readUntilAnswered(): Promise<void> {
    const { clock, health } = this.#options
    while (this.#isAskedAgain && !this.#isClosed) {
      this.#isAskedAgain = false
      this.#lookedAtMs = clock.now()
      try {
        await this.start()
        health.works(PART)
      } catch (error) {
        health.failed(PART, error)
        this.#isAskedAgain = true
        await sleep(clock, LOOK_AGAIN_MS)
      }
    }
  }
}
