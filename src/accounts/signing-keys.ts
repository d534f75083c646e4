import { createSecretKey, type KeyObject } from 'node:crypto'
import { candidatesAmong, type KeySource } from '../auth/key-source.ts'
import type { Algorithm } from '../auth/token.ts'
import type { VerificationKey } from '../auth/verification-key.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'

export interface SigningKeyStore {
  /** The key of the present epoch, made if there is none. */
  current(): Promise<{ readonly keyId: string; readonly secret: Buffer }>
}

const OWN_ISSUER = 'messaging-server'

/** What the tokens of the built-in issuer say: no other token may pass for one of them, whatever its issuer signs with. */
export const OWN_RULES = { issuer: OWN_ISSUER, audience: OWN_ISSUER, userClaim: 'sub', escapesUser: false } as const

/** Another instance may have seen a new epoch first; tokens by its key make one look in this time. */
const LOOK_AGAIN_MS = 1_000
/** After a look that failed: with another epoch no token of the key that is known is good anywhere else. */
const RETRY = { firstMs: 500, maxMs: 10_000 }

/** The key of the built-in issuer. It lives in PostgreSQL and changes with the epoch: a restore refuses every token before it. */
export class SigningKeys implements KeySource {
  readonly #store: SigningKeyStore
  readonly #clock: Pick<Clock, 'now' | 'after'>
  readonly #logger: Logger
  #key: (VerificationKey & { readonly keyId: string }) | undefined
  #generation = 0
  #attemptedAtMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  /** A look is wanted that begins from now on. */
  #isWanted = false
  #failures = 0
  #cancelRetry = (): void => undefined
  #isClosed = false

  constructor({
    store,
    clock,
    logger,
  }: { store: SigningKeyStore; clock: Pick<Clock, 'now' | 'after'>; logger: Logger }) {
    this.#store = store
    this.#clock = clock
    this.#logger = logger
  }

  get generation(): number {
    return this.#generation
  }

  /** What signs. Throws before the first look. */
  get current(): { readonly key: KeyObject; readonly keyId: string } {
    if (!this.#key) throw new Error('the signing key was not read')
    return this.#key
  }

  /** Rejects when the database is away. */
  async start(): Promise<void> {
    const { keyId, secret } = await this.#store.current()
    if (keyId === this.#key?.keyId) return
    this.#key = { algorithm: 'HS256', keyId, key: createSecretKey(secret) }
    this.#generation += 1
  }

  candidates(algorithm: Algorithm, keyId: string | undefined): readonly VerificationKey[] {
    return this.#key && keyId !== undefined ? candidatesAmong([this.#key], algorithm, keyId) : []
  }

  lookAgain(): Promise<void> | undefined {
    if (this.#looking !== undefined) return this.#looking
    return this.#clock.now() - this.#attemptedAtMs < LOOK_AGAIN_MS ? undefined : this.read()
  }

  /**
   * Reads the key again, as after a change of epoch: behind a look that is under way, whose answer may be older, and until it succeeds.
   * Resolves after the first one, whatever came of it. Never rejects.
   */
  read(): Promise<void> {
    this.#attemptedAtMs = this.#clock.now()
    this.#isWanted = true
    this.#looking ??= this.#lookWhileWanted().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  close(): void {
    this.#isClosed = true
    this.#cancelRetry()
  }

  async #lookWhileWanted(): Promise<void> {
    while (this.#isWanted && !this.#isClosed) {
      this.#isWanted = false
      await this.#lookOnce()
    }
  }

  async #lookOnce(): Promise<void> {
    this.#cancelRetry()
    try {
      await this.start()
      this.#failures = 0
    } catch (error) {
      this.#logger.warn({ reason: reasonOf(error) }, 'the signing key cannot be read')
      if (!this.#isClosed)
        this.#cancelRetry = this.#clock.after(backoffMs(this.#failures, RETRY), () => void this.read())
      this.#failures += 1
    }
  }
}
