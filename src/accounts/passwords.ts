import { Semaphore } from '../lib/semaphore.ts'
import { type HashingTask, HashingThread } from './hashing-thread.ts'
import { AccountRefusal } from './refusal.ts'

/** Argon2id as OWASP's Password Storage Cheat Sheet (2024) has it: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
/** Each takes a thread of its own for 20 ms and more. */
const AT_ONCE = 2
const MAX_WAITING = 50

export interface PasswordHasher {
  /**
   * Does this work, in which passwords are hashed. Rejects with `overloaded` while too many are at it: before anything is looked
   * up, or counted as an attempt of somebody who then has to wait for longer.
   */
  admit<T>(work: () => Promise<T>): Promise<T>
  /** A PHC string. Like `verify` within `admit`, which alone bounds how many wait. */
  hash(password: string): Promise<string>
  /** Whether it is the password; of nobody (`undefined`) it takes as long, and is false. */
  verify(phc: string | undefined, password: string): Promise<boolean>
  /** Whether what is kept was made with less than is asked for now. */
  isOutdated(phc: string): boolean
}

/** Hashes passwords with Argon2id, two at a time. */
export class Argon2Hasher implements PasswordHasher {
  readonly #turns = new Semaphore(AT_ONCE)
  readonly #idle = Array.from({ length: AT_ONCE }, () => new HashingThread())
  readonly #threads = [...this.#idle]
  #admitted = 0
  #isClosed = false
  /** Of nobody: looking for a name that does not exist costs what a wrong password costs. */
  #nobody = ''

  private constructor() {}

  /** Rejects where there is no binary for this machine; only who hashes passwords loads it. */
  static async create(): Promise<Argon2Hasher> {
    const hasher = new Argon2Hasher()
    hasher.#nobody = await hasher.hash('nobody has this password')
    return hasher
  }

  async admit<T>(work: () => Promise<T>): Promise<T> {
    if (this.#admitted >= AT_ONCE + MAX_WAITING) {
      throw new AccountRefusal('overloaded', { message: 'Too many people are signing in right now.' })
    }
    this.#admitted += 1
    try {
      return await work()
    } finally {
      this.#admitted -= 1
    }
  }

  async hash(password: string): Promise<string> {
    return String(await this.#inTurn({ password, parameters: PARAMETERS }))
  }

  async verify(phc: string | undefined, password: string): Promise<boolean> {
    const isRight = await this.#inTurn({ password, phc: phc ?? this.#nobody })
    return isRight === true && phc !== undefined
  }

  /** Ends the threads. What is hashed then or waits for its turn is rejected. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }

  isOutdated(phc: string): boolean {
    const [, memory, time] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/.exec(phc) ?? []
    return !(Number(memory) >= PARAMETERS.memoryCost && Number(time) >= PARAMETERS.timeCost)
  }

  #inTurn(task: HashingTask): Promise<string | boolean> {
    return this.#turns.run(async () => {
      if (this.#isClosed) throw new Error('passwords are hashed no more')
      const thread = this.#idle.pop()
      if (!thread) throw new Error('more tasks have a turn than there are threads')
      try {
        return await thread.run(task)
      } finally {
        this.#idle.push(thread)
      }
    })
  }
}
