import { mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { backoffMs } from '../lib/backoff.ts'
import { MAX_SOCKET_PATH_BYTES, SOCKET_PORT } from './embedded/runtime-dir.ts'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded.ts'

export interface KeptPostgres {
  /** Stays the same when PostgreSQL is started again. */
  readonly dsn: string
  stop(): Promise<void>
}

const RESTART = { firstMs: 100, maxMs: 10_000 }

/** Keeps our own PostgreSQL running: when it ends unasked it is started again, and recovers from its log. */
export async function keepEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<KeptPostgres> {
  const server = await startEmbeddedPostgres(options)
  const link = await linkPath(options.dataDir)
  await pointTo(link, server)
  const keeper = new Keeper(options, server, link)
  return { dsn: withSocketDirectory(server.dsn, link), stop: () => keeper.stop() }
}

class Keeper {
  readonly #options: EmbeddedPostgresOptions
  readonly #link: string
  readonly #done: Promise<void>
  #server: EmbeddedPostgres
  #isStopping = false

  constructor(options: EmbeddedPostgresOptions, server: EmbeddedPostgres, link: string) {
    this.#options = options
    this.#server = server
    this.#link = link
    this.#done = this.#keep()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#server.stop()
    await this.#done
    await rm(this.#link, { force: true })
  }

  async #keep(): Promise<void> {
    for (;;) {
      const exit = await this.#server.exited
      if (this.#isStopping) return
      this.#options.logger.error({ ...exit }, 'our PostgreSQL ended unasked and is started again')
      await this.#restart()
    }
  }

  async #restart(): Promise<void> {
    for (let attempt = 0; !this.#isStopping; attempt += 1) {
      try {
        this.#server = await startEmbeddedPostgres(this.#options)
        await pointTo(this.#link, this.#server)
        // Whoever asked to stop meanwhile has only stopped the one before.
        if (this.#isStopping) await this.#server.stop()
        return
      } catch (error) {
        this.#options.logger.error({ err: error }, 'our PostgreSQL does not start')
        await delay(backoffMs(attempt, RESTART))
      }
    }
  }
}

/** In the data directory, unless that would make the path of the socket too long for the system. */
async function linkPath(dataDir: string): Promise<string> {
  const link = join(dataDir, 'postgres.socket')
  const isShort = Buffer.byteLength(join(link, `.s.PGSQL.${SOCKET_PORT}`)) <= MAX_SOCKET_PATH_BYTES
  return isShort ? link : join(await mkdtemp(join(tmpdir(), 'messaging-db-')), 's')
}

/** A rename replaces a link in one step, so there is no moment without one. */
async function pointTo(link: string, server: EmbeddedPostgres): Promise<void> {
  await rm(`${link}.new`, { force: true })
  await symlink(socketDirectory(server), `${link}.new`)
  await rename(`${link}.new`, link)
}

function socketDirectory({ dsn }: EmbeddedPostgres): string {
  return new URL(dsn).searchParams.get('host') ?? ''
}

function withSocketDirectory(dsn: string, directory: string): string {
  const url = new URL(dsn)
  url.searchParams.set('host', directory)
  return url.href
}
