import { setTimeout as delay } from 'node:timers/promises'
import { RestartPolicy } from '../lib/restart-policy.ts'
import { type EmbeddedPostgresOptions, type PostgresServer, startPostgresServer } from './server.ts'
import { placeLink, pointTo, removeLink, type SocketLink, socketDirOf, withSocketDir } from './socket-link.ts'

/** Keeps a server running: when it ends unasked it is started again, and recovers from its log. */
export class Supervisor {
  /** Stays the same when the server is started again. */
  readonly dsn: string
  readonly #options: EmbeddedPostgresOptions
  readonly #link: SocketLink
  readonly #policy = new RestartPolicy()
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>
  #server: PostgresServer

  private constructor(options: EmbeddedPostgresOptions, server: PostgresServer, link: SocketLink) {
    this.dsn = withSocketDir(server.dsn, link.path)
    this.#options = options
    this.#server = server
    this.#link = link
    this.#done = this.#supervise()
  }

  /** Resolves when the first server accepts connections. */
  static async start(options: EmbeddedPostgresOptions): Promise<Supervisor> {
    const server = await startPostgresServer(options)
    const link = await placeLink(options.dataDir)
    await publish(server, link)
    return new Supervisor(options, server, link)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#server.stop()
    await this.#done
    await removeLink(this.#link)
  }

  async #supervise(): Promise<void> {
    for (;;) {
      const exit = await this.#server.exited
      if (this.#stopping.signal.aborted) return
      const delayMs = this.#policy.ended()
      this.#options.logger.error({ ...exit, delay_ms: delayMs }, 'our PostgreSQL ended unasked and is started again')
      await this.#pause(delayMs)
      await this.#restart()
    }
  }

  async #restart(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#policy.started()
      try {
        const server = await startPostgresServer(this.#options)
        await publish(server, this.#link)
        this.#server = server
        // `stop`, when it was called meanwhile, has only stopped the server before this one.
        if (this.#stopping.signal.aborted) await server.stop()
        return
      } catch (error) {
        this.#options.logger.error({ err: error }, 'our PostgreSQL does not start')
        await this.#pause(this.#policy.ended())
      }
    }
  }

  #pause(delayMs: number): Promise<void> {
    // `stop` cuts it short, by an exception.
    return delay(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }
}

/** Lets the link lead to the server, or stops it: out of reach it would only keep every later one from the directory. */
async function publish(server: PostgresServer, link: SocketLink): Promise<void> {
  try {
    await pointTo(link, socketDirOf(server.dsn))
  } catch (error) {
    await server.stop()
    throw error
  }
}
