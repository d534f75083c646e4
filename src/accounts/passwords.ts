import { availableParallelism } from 'node:os'
import { reasonOf, Unavailable } from '../lib/errors.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { type HashingTask, HashingThread } from './hashing-thread.ts'
import { type HashingLane, type Place, Places } from './places.ts'

/** Argon2id as OWASP's Password Storage Cheat Sheet (2024) has it: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
/** Each takes a thread of its own for 20 ms and more. On two cores a second one would take the core that PostgreSQL answers from. */
const atOnceOn = (cores: number): number => (cores > 2 ? 2 : 1)

export interface PasswordHasher {
  /**
   * Does this work, in which passwords are hashed. Rejects with `overloaded` while too many are at it, and with `rate_limited` while
   * too many of these are of one network or person: before anything is looked up, or counted as an attempt of somebody who then has
   * to wait for longer.
   */
  admit<T>(place: Place, work: () => Promise<T>): Promise<T>
  /** A PHC string. Like `verify` within `admit` of the same lane, which alone bounds how many wait. */
  hash(lane: HashingLane, password: string): Promise<string>
  /** Whether it is the password; of nobody (`undefined`) it takes as long, and is false. */
  verify(lane: HashingLane, phc: string | undefined, password: string): Promise<boolean>
  /** Whether what is kept was made with less than is asked for now. */
  isOutdated(phc: string): boolean
}

/** Hashes passwords with Argon2id, two at a time, or one where there are two cores. */
export class Argon2Hasher implements PasswordHasher {
  readonly #turns: Semaphore
  /** Strangers wait here first, so that of them no more than have a turn stand before anybody else. */
  readonly #turnsOfStrangers: Semaphore
  readonly #idle: HashingThread[]
  readonly #threads: readonly HashingThread[]
  readonly #places = new Places()
  #isClosed = false
  /** Of nobody: looking for a name that does not exist costs what a wrong password costs. */
  #nobody = ''

  private constructor(atOnce: number) {
    this.#turns = new Semaphore(atOnce)
    this.#turnsOfStrangers = new Semaphore(atOnce)
    this.#threads = Array.from({ length: atOnce }, () => new HashingThread())
    this.#idle = [...this.#threads]
  }

  /** Rejects where there is no binary for this machine; only who hashes passwords loads it. */
  static async create(cores = availableParallelism()): Promise<Argon2Hasher> {
    const hasher = new Argon2Hasher(atOnceOn(cores))
    hasher.#nobody = await hasher.hash('known', 'nobody has this password')
    return hasher
  }

  /** How many have their passwords hashed, or did and are not done yet. */
  get admitted(): number {
    return this.#places.taken('stranger') + this.#places.taken('known')
  }

  admit<T>(place: Place, work: () => Promise<T>): Promise<T> {
    return this.#places.admit(place, work)
  }

  async hash(lane: HashingLane, password: string): Promise<string> {
    return String(await this.#inTurn(lane, { password, parameters: PARAMETERS }))
  }

  async verify(lane: HashingLane, phc: string | undefined, password: string): Promise<boolean> {
    const isRight = await this.#inTurn(lane, { password, phc: phc ?? this.#nobody })
    return isRight === true && phc !== undefined
  }

  /** Ends the threads. What is hashed then or waits for its turn is rejected with `Unavailable`: another instance can do it. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }

  isOutdated(phc: string): boolean {
    const [, memory, time] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/.exec(phc) ?? []
    return !(Number(memory) >= PARAMETERS.memoryCost && Number(time) >= PARAMETERS.timeCost)
  }

  #inTurn(lane: HashingLane, task: HashingTask): Promise<string | boolean> {
    const inTurn = (): Promise<string | boolean> => this.#turns.run(() => this.#run(task))
    return lane === 'known' ? inTurn() : this.#turnsOfStrangers.run(inTurn)
  }

  async #run(task: HashingTask): Promise<string | boolean> {
    if (this.#isClosed) throw new Unavailable('passwords are hashed no more')
    const thread = this.#idle.pop()
    if (!thread) throw new Error('more tasks have a turn than there are threads')
    try {
      return await thread.run(task)
    } catch (error) {
      // A thread that ends by itself is a fault; one that was ended is none.
      throw this.#isClosed ? new Unavailable(reasonOf(error), { cause: error }) : error
    } finally {
      this.#idle.push(thread)
    }
  }
}
