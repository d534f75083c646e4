import type { Clock } from '../lib/clock.ts'
import { reasonOf } from '../lib/errors.ts'

export interface ReadinessOptions {
  isDraining(): boolean
  /** Rejects when the database would take no commit. */
  check(): Promise<void>
  /** The latest commit, if it failed. */
  failedCommit(): { readonly reason: string; readonly atMs: number } | undefined
  /** Commits a change that means nothing. */
  tryCommit(): Promise<void>
  /** Why no credential can be verified, so that no caller is served although messages could be stored. */
  authReasons(): readonly string[]
  /** What is wrong with dependencies without which the service stores and delivers all the same. */
  degradations(): readonly string[]
  readonly clock: Clock
}

export interface Readiness {
  /** Why the service cannot store right now; empty when it can. */
  readonly reasons: readonly string[]
  /** What works less well, such as delivery between instances. */
  readonly degraded: readonly string[]
}

/** So often at most a commit is tried for probes; and a commit that failed so lately needs no other one to prove it. */
const TRY_EVERY_MS = 1_000
/** What is wrong is asked again after this long: one such look makes new connections, and everybody may ask. */
const WRONG_FOR_MS = 250
/** Whoever reads the metrics waits no longer than this for the database; less than other processes wait for this one's metrics. */
const KNOWN_WITHIN_MS = 500

/**
 * Whether a balancer should send people here. Follows what commits achieve: while they fail the service is not ready. When
 * no client sends any more, a commit of its own, once a second at most and only when asked, finds that it can store again.
 */
export class ReadinessProbe {
  readonly #options: ReadinessOptions
  /** The check under way, or the last one for as long as what it found wrong holds. */
  #checked: Promise<string | undefined> | undefined
  #trial: { readonly startedMs: number; readonly succeeded: Promise<boolean> } | undefined

  constructor(options: ReadinessOptions) {
    this.#options = options
  }

  async look(): Promise<Readiness> {
    const { isDraining, authReasons, degradations } = this.#options
    const reasons = isDraining() ? ['draining'] : [...(await this.#storeReasons()), ...authReasons()]
    return { reasons, degraded: degradations() }
  }

  /** What is not known at once is not well. */
  isReady(): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(KNOWN_WITHIN_MS, () => resolve(false))
      const known = (isReady: boolean): void => {
        cancel()
        resolve(isReady)
      }
      this.look().then(
        ({ reasons }) => known(reasons.length === 0),
        () => known(false),
      )
    })
  }

  async #storeReasons(): Promise<string[]> {
    const { failedCommit, clock } = this.#options
    const failure = await this.#failure()
    if (failure !== undefined) return [`database: ${failure}`]
    const failed = failedCommit()
    if (!failed) return []
    const isRecent = clock.now() - failed.atMs < TRY_EVERY_MS
    if (!isRecent && (await this.#tried())) return []
    return [`database: ${failed.reason}`]
  }

  /** Those who come together share a check; that all is well holds no longer than that. */
  #failure(): Promise<string | undefined> {
    this.#checked ??= this.#check()
    return this.#checked
  }

  async #check(): Promise<string | undefined> {
    const { check, clock } = this.#options
    const failure = await check().then(() => undefined, reasonOf)
    if (failure === undefined) this.#checked = undefined
    else clock.after(WRONG_FOR_MS, () => (this.#checked = undefined))
    return failure
  }

  /** No trial is older than a failure that is not recent. */
  #tried(): Promise<boolean> {
    const { clock, tryCommit } = this.#options
    const now = clock.now()
    if (!this.#trial || now - this.#trial.startedMs >= TRY_EVERY_MS) {
      const succeeded = tryCommit().then(
        () => true,
        () => false,
      )
      this.#trial = { startedMs: now, succeeded }
    }
    return this.#trial.succeeded
  }
}
