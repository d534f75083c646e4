import type { Clock, TimeOfDay } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Revocations } from './revocations.ts'
import {
  isSecretOf,
  parseServiceKey,
  type ServiceKey,
  type ServiceKeyStore,
  type StoredServiceKey,
} from './service-key.ts'

export interface ServiceKeysOptions {
  readonly store: Pick<ServiceKeyStore, 'find' | 'used'>
  readonly revocations: Pick<Revocations, 'isKeyRevoked'>
  readonly clock: Pick<Clock, 'now'>
  /** By which keys end. */
  readonly time: TimeOfDay
  readonly logger: Logger
}

interface Found {
  readonly key: StoredServiceKey
  readonly untilMs: number
}

/** A key that was found is not looked up again for a minute: its revocation reaches every instance by itself. */
const KNOWN_MS = 60_000
/** An id that nobody has is remembered shorter: the key may be made at any moment. */
const UNKNOWN_MS = 5_000
const MAX_REMEMBERED = 1_000
/** `last_used_at` is written at most so often for a key. */
const USED_INTERVAL_MS = 60_000

/** Verifies service keys; the database is asked at most once a minute for each. */
export class ServiceKeys {
  readonly #options: ServiceKeysOptions
  readonly #found = new Map<string, Found>()
  /** Until when nobody has these ids. Apart from those that were found: guessed ids must push out no key that is in use. */
  readonly #unknownUntilMs = new Map<string, number>()
  #looking = new Map<string, Promise<StoredServiceKey | undefined>>()
  readonly #usedAtMs = new Map<string, number>()

  constructor(options: ServiceKeysOptions) {
    this.#options = options
  }

  /** The key, or undefined when it is to be refused. Rejects when the database cannot be asked. */
  async verify(text: string): Promise<ServiceKey | undefined> {
    const parsed = parseServiceKey(text)
    if (!parsed) return undefined
    const { revocations, time } = this.#options
    const key = await this.#find(parsed.keyId)
    if (!key || !isSecretOf(key, parsed.secret)) return undefined
    if (key.revokedAtMs !== undefined || revocations.isKeyRevoked(key.keyId)) return undefined
    if (key.expiresAtMs !== undefined && key.expiresAtMs <= time.epochMs()) return undefined
    this.#noteUse(key.keyId)
    return key
  }

  /** The database's history may be another one now (`epoch`): what was found in the other is looked up again. */
  historyChanged(): void {
    this.#found.clear()
    this.#unknownUntilMs.clear()
    this.#looking = new Map()
  }

  async #find(keyId: string): Promise<StoredServiceKey | undefined> {
    const now = this.#options.clock.now()
    const found = this.#found.get(keyId)
    if (found && found.untilMs > now) return found.key
    if ((this.#unknownUntilMs.get(keyId) ?? 0) > now) return undefined
    const looking = this.#looking.get(keyId) ?? this.#look(keyId)
    this.#looking.set(keyId, looking)
    return looking
  }

  async #look(keyId: string): Promise<StoredServiceKey | undefined> {
    const looking = this.#looking
    try {
      const key = await this.#options.store.find(keyId)
      // Asked in another history otherwise.
      if (looking === this.#looking) this.#remember(keyId, key)
      return key
    } finally {
      looking.delete(keyId)
    }
  }

  #remember(keyId: string, key: StoredServiceKey | undefined): void {
    const now = this.#options.clock.now()
    if (key) remember(this.#found, keyId, { key, untilMs: now + KNOWN_MS })
    else remember(this.#unknownUntilMs, keyId, now + UNKNOWN_MS)
  }

  #noteUse(keyId: string): void {
    const { clock, store, logger } = this.#options
    const now = clock.now()
    if (now - (this.#usedAtMs.get(keyId) ?? Number.NEGATIVE_INFINITY) < USED_INTERVAL_MS) return
    remember(this.#usedAtMs, keyId, now)
    store.used(keyId).catch((error: unknown) => logger.debug({ err: error }, 'the use of a key was not noted'))
  }
}

/** Bounded: the entry that was set first goes. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= MAX_REMEMBERED) return
  const [first] = map.keys()
  if (first !== undefined) map.delete(first)
}
