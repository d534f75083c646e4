import type pg from 'pg'
import type { Pool } from './pool.ts'

/** A pool whose connections can be made anew: those from before are closed in place of being used again. */
export class RenewablePool {
  readonly #pool: Pool
  readonly #check: ((client: pg.PoolClient) => Promise<void>) | undefined
  /** Counts calls of `renew`; a connection is as old as it was at its first use. */
  #generation = 0
  readonly #generations = new WeakMap<pg.PoolClient, number>()

  /** `check`: of each connection before its first use; one that it rejects is closed, and whoever wanted it hears why. */
  constructor(pool: Pool, check?: (client: pg.PoolClient) => Promise<void>) {
    this.#pool = pool
    this.#check = check
  }

  /** Callers that wait for a connection. */
  get waiting(): number {
    return this.#pool.waitingCount
  }

  async connect(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await this.#pool.connect()
      const generation = this.#generations.get(client) ?? (await this.#checked(client))
      if (generation === this.#generation) return client
      client.release(true)
    }
  }

  /** Connections made so far are used no more. */
  renew(): void {
    this.#generation += 1
  }

  async #checked(client: pg.PoolClient): Promise<number> {
    const generation = this.#generation
    try {
      await this.#check?.(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    this.#generations.set(client, generation)
    return generation
  }
}
