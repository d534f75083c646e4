import type { Clock } from '../lib/clock.ts'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { candidatesAmong, type KeySource } from './key-source.ts'
import type { Algorithm } from './token.ts'
import { jwkKey, type VerificationKey } from './verification-key.ts'

export interface KeySetOptions {
  /** Gets the document; rejects when it cannot within its own limits of time and size. */
  readonly fetch: () => Promise<string>
  readonly algorithms: readonly Algorithm[]
  readonly clock: Clock
  readonly logger: Logger
  /** From 0 to below 1, each time another. */
  readonly random: () => number
}

/** Between two looks that nobody asked for; each is a fifth earlier or later, so that instances do not look together. */
const REFRESH_MS = 5 * 60_000
const REFRESH_JITTER = 0.2
/** While there is no key, as after a failed look at start; otherwise a failed one waits for the next refresh or an unknown key id. */
const FIRST_RETRY_MS = 5_000
/** Unknown key ids make one look in this time, however many there are, counted from the last attempt, not the last success. */
const LOOK_AGAIN_MS = 30_000
/** The issuer may be away for so long before its keys are no longer believed. */
const MAX_AGE_MS = 24 * 60 * 60_000
const MAX_KEYS = 32

/** The keys that an issuer publishes at an address (RFC 7517 §5), looked up again at intervals and for key ids unknown so far. */
export class KeySet implements KeySource {
  readonly #options: KeySetOptions
  #keys: readonly VerificationKey[] = []
  #text: string | undefined
  #generation = 0
  #attemptedAtMs = Number.NEGATIVE_INFINITY
  #fetchedAtMs: number | undefined
  #looking: Promise<void> | undefined
  #cancelRefresh = (): void => undefined
  #isClosed = false
  #lastFailure: string | undefined

  constructor(options: KeySetOptions) {
    this.#options = options
  }

  get generation(): number {
    this.#dropWhenTooOld()
    return this.#generation
  }

  /** Seconds since the keys were last confirmed by the issuer; undefined while there are none. */
  get ageSeconds(): number | undefined {
    return this.#fetchedAtMs === undefined ? undefined : (this.#options.clock.now() - this.#fetchedAtMs) / 1000
  }

  /** Looks for the first time; the service starts whatever comes of it. Never rejects. */
  start(): Promise<void> {
    return this.#look()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelRefresh()
  }

  candidates(algorithm: Algorithm, keyId: string | undefined): readonly VerificationKey[] {
    this.#dropWhenTooOld()
    return candidatesAmong(this.#keys, algorithm, keyId)
  }

  lookAgain(): Promise<void> | undefined {
    if (this.#looking !== undefined) return this.#looking
    if (this.#isClosed || this.#options.clock.now() - this.#attemptedAtMs < LOOK_AGAIN_MS) return undefined
    return this.#look()
  }

  /** One look at a time; whoever comes meanwhile shares it. */
  #look(): Promise<void> {
    this.#looking ??= this.#fetchKeys().finally(() => {
      this.#looking = undefined
      this.#scheduleNext()
    })
    return this.#looking
  }

  async #fetchKeys(): Promise<void> {
    const { clock, logger, fetch } = this.#options
    this.#attemptedAtMs = clock.now()
    try {
      const text = await fetch()
      const keys = keysOf(text, this.#options.algorithms)
      if (text !== this.#text) this.#replace(keys, text)
      this.#fetchedAtMs = clock.now()
      // The issuer has spoken: what it withdrew is believed no more, though nothing is left.
      if (keys.length === 0) throw new Error(NO_KEY)
      if (this.#lastFailure !== undefined)
        logger.info({ keys: keys.length }, 'the key set of the issuer is there again')
      this.#lastFailure = undefined
    } catch (error) {
      const reason = reasonOf(error)
      // Said once for each reason: an issuer that is away for hours is one piece of news.
      if (reason !== this.#lastFailure) logger.warn({ reason }, 'the key set of the issuer could not be read')
      this.#lastFailure = reason
    }
  }

  #replace(keys: readonly VerificationKey[], text: string | undefined): void {
    this.#keys = keys
    this.#text = text
    this.#generation += 1
  }

  #dropWhenTooOld(): void {
    if (this.#fetchedAtMs === undefined || this.#options.clock.now() - this.#fetchedAtMs <= MAX_AGE_MS) return
    this.#fetchedAtMs = undefined
    this.#replace([], undefined)
    this.#options.logger.warn({}, 'the issuer was away for a day: its keys are no longer believed')
  }

  #scheduleNext(): void {
    this.#cancelRefresh()
    if (this.#isClosed) return
    const { clock, random } = this.#options
    const isWithoutKeys = this.#keys.length === 0
    const spread = 1 + REFRESH_JITTER * (2 * random() - 1)
    const delayMs = (isWithoutKeys ? FIRST_RETRY_MS : REFRESH_MS) * spread
    this.#cancelRefresh = clock.after(delayMs, () => void this.#look())
  }
}

const NO_KEY = 'the key set holds no key that can be used'

/** As `keysOf`, for whoever needs one: throws when none is one of ours. */
export function usableKeys(text: string, algorithms: readonly Algorithm[]): VerificationKey[] {
  const usable = keysOf(text, algorithms)
  if (usable.length === 0) throw new Error(NO_KEY)
  return usable
}

/**
 * The keys of a key set that can verify tokens of these algorithms. Keys of other kinds or for other uses may lie in the same
 * set. Throws for what is no key set.
 */
function keysOf(text: string, algorithms: readonly Algorithm[]): VerificationKey[] {
  const keys = jwksOf(text).flatMap((jwk) => {
    try {
      return [jwkKey(jwk)]
    } catch {
      return []
    }
  })
  return keys.filter(({ algorithm }) => algorithms.includes(algorithm))
}

function jwksOf(text: string): unknown[] {
  const document: unknown = JSON.parse(text)
  const keys = typeof document === 'object' && document !== null ? (document as { keys?: unknown }).keys : undefined
  if (!Array.isArray(keys)) throw new Error('the key set is not a list of keys')
  if (keys.length > MAX_KEYS) throw new Error(`the key set holds more than ${MAX_KEYS} keys`)
  return keys
}
