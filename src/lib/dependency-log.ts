import type { Clock } from './clock.ts'
import { reasonOf } from './errors.ts'
import type { Logger } from './logger.ts'

export interface DependencyLogOptions {
  /** As a person calls it: Redis, PostgreSQL. */
  readonly dependency: string
  readonly logger: Logger
  readonly clock: Pick<Clock, 'now'>
}

/** A dependency that comes and goes with one reason is told of so often at most; milliseconds. */
const REPEAT_AFTER_MS = 10_000

/**
 * Tells people what is wrong with a dependency, however many of its users notice it and however often: each reason once, at
 * warn, again when it changes, and at info when everything works again. Every single failure is told at debug.
 */
export class DependencyLog {
  readonly #options: DependencyLogOptions
  /** What is wrong now, by the part that noticed it: a connection, or a use of one. */
  readonly #failing = new Map<string, string>()
  /** When a reason was told last; milliseconds since the epoch. */
  readonly #toldMs = new Map<string, number>()
  /** Reasons told since everything worked. */
  readonly #told = new Set<string>()

  constructor(options: DependencyLogOptions) {
    this.#options = options
  }

  /** Why the dependency cannot be used right now, one reason for each cause; empty while it works. */
  get reasons(): readonly string[] {
    return [...new Set(this.#failing.values())]
  }

  /** `part` failed, and is taken to be failing until it works again. */
  failed(part: string, error: unknown): void {
    const { dependency, logger } = this.#options
    const reason = reasonOf(error)
    const before = this.#failing.get(part)
    this.#failing.set(part, reason)
    // A reason that comes back within one outage is news again.
    if (before !== undefined && !this.reasons.includes(before)) this.#told.delete(before)
    logger.debug({ dependency, part, err: error }, 'a dependency failed')
    if (this.#told.has(reason) || !this.#isDue(reason)) return
    this.#told.add(reason)
    logger.warn({ dependency, reason }, `${dependency} fails`)
  }

  /** `part` works, or is no longer used. */
  works(part: string): void {
    const { dependency, logger } = this.#options
    if (!this.#failing.delete(part) || this.#failing.size > 0) return
    const wasTold = this.#told.size > 0
    this.#told.clear()
    if (wasTold) logger.info({ dependency }, `${dependency} works again`)
  }

  #isDue(reason: string): boolean {
    const now = this.#options.clock.now()
    for (const [old, toldMs] of this.#toldMs) if (now - toldMs >= REPEAT_AFTER_MS) this.#toldMs.delete(old)
    if (this.#toldMs.has(reason)) return false
    this.#toldMs.set(reason, now)
    return true
  }
}
