import type { Clock } from '../lib/clock.ts'

/** One that is under way, and for which job. */
interface Push {
  readonly atMs: number
  readonly job: object
}

interface Load {
  /** Oldest first. */
  readonly begun: Set<Push>
  slowUntilMs: number
}

/** A push that takes so long makes its host a slow one, for a while. */
const SLOW_MS = 1_000
const SLOW_FOR_MS = 60_000
const MAX_HOSTS = 10_000

/**
 * What each push service has under way here. One that takes seconds for an answer would soon have everything that may be under way,
 * and people with browsers of another one would wait for it: a slow one gets half. What a job itself has there is not counted
 * against its other browsers: to put those off would make room for nobody.
 */
export class HostLoad {
  readonly #clock: Pick<Clock, 'now'>
  readonly #limit: () => number
  readonly #hosts = new Map<string, Load>()

  /** `limit`: how many jobs may be under way now. */
  constructor(clock: Pick<Clock, 'now'>, limit: () => number) {
    this.#clock = clock
    this.#limit = limit
  }

  /** It has its part, without what it has of this job. */
  isFull(host: string, job: object): boolean {
    const load = this.#hosts.get(host)
    if (!load || ofOthers(load, job) < Math.max(1, Math.floor(this.#limit() / 2))) return false
    const now = this.#clock.now()
    const [oldest] = load.begun
    return load.slowUntilMs > now || (oldest !== undefined && now - oldest.atMs >= SLOW_MS)
  }

  /** A push of this job begins; the returned function is called at its end. */
  begin(host: string, job: object): () => void {
    const load = this.#hosts.get(host) ?? { begun: new Set(), slowUntilMs: 0 }
    const push = { atMs: this.#clock.now(), job }
    load.begun.add(push)
    this.#hosts.set(host, load)
    return () => this.#ended(host, load, push)
  }

  #ended(host: string, load: Load, push: Push): void {
    const now = this.#clock.now()
    load.begun.delete(push)
    if (now - push.atMs >= SLOW_MS) load.slowUntilMs = now + SLOW_FOR_MS
    const isKept = load.begun.size > 0 || (load.slowUntilMs > now && this.#hosts.size <= MAX_HOSTS)
    if (!isKept) this.#hosts.delete(host)
  }
}

function ofOthers({ begun }: Load, job: object): number {
  let count = begun.size
  for (const push of begun) if (push.job === job) count -= 1
  return count
}
