import { mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { backoffMs } from '../lib/backoff.ts'
import { systemClock } from '../lib/clock.ts'
import { MAX_SOCKET_PATH_BYTES, SOCKET_PORT } from './embedded/runtime-dir.ts'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded.ts'

export interface KeptPostgres {
  /** Stays the same when PostgreSQL is started again. */
  readonly dsn: string
  stop(): Promise<void>
}

interface Link {
  readonly path: string
  /** What is there because of it and goes with it: the link alone, or the directory that was made to hold it. */
  readonly litter: string
}

const RESTART = { firstMs: 100, maxMs: 10_000 }
/** A server that lived so long did not die of what it met at its start. */
const HEALTHY_MS = 30_000

/** Keeps our own PostgreSQL running: when it ends unasked it is started again, and recovers from its log. */
export async function keepEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<KeptPostgres> {
  const server = await startEmbeddedPostgres(options)
  const link = await placeLink(options.dataDir)
  await publish(server, link)
  const keeper = new Keeper(options, server, link)
  return { dsn: withSocketDirectory(server.dsn, link.path), stop: () => keeper.stop() }
}

class Keeper {
  readonly #options: EmbeddedPostgresOptions
  readonly #link: Link
  readonly #done: Promise<void>
  readonly #stopping = new AbortController()
  #server: EmbeddedPostgres

  constructor(options: EmbeddedPostgresOptions, server: EmbeddedPostgres, link: Link) {
    this.#options = options
    this.#server = server
    this.#link = link
    this.#done = this.#keep()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#server.stop()
    await this.#done
    await rm(this.#link.litter, { recursive: true, force: true })
  }

  async #keep(): Promise<void> {
    let failures = 0
    for (;;) {
      const startedMs = systemClock.now()
      const exit = await this.#server.exited
      if (this.#stopping.signal.aborted) return
      if (systemClock.now() - startedMs > HEALTHY_MS) failures = 0
      // Who waits is served again at once, unless the last start did not help for long.
      const delayMs = failures === 0 ? 0 : backoffMs(failures - 1, RESTART)
      this.#options.logger.error({ ...exit, delay_ms: delayMs }, 'our PostgreSQL ended unasked and is started again')
      await this.#pause(delayMs)
      failures = await this.#restart(failures + 1)
    }
  }

  /** Resolves with how many starts in a row, the last one included, have yet to show that they help. */
  async #restart(attempt: number): Promise<number> {
    let failures = attempt
    for (; !this.#stopping.signal.aborted; failures += 1) {
      try {
        const server = await startEmbeddedPostgres(this.#options)
        await publish(server, this.#link)
        this.#server = server
        // Whoever asked to stop meanwhile has only stopped the one before.
        if (this.#stopping.signal.aborted) await server.stop()
        break
      } catch (error) {
        this.#options.logger.error({ err: error }, 'our PostgreSQL does not start')
        await this.#pause(backoffMs(failures - 1, RESTART))
      }
    }
    return failures
  }

  #pause(delayMs: number): Promise<void> {
    // Cut short, by an exception, when somebody asks to stop.
    return delay(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }
}

/** In the data directory, unless the path of the socket would be too long for the system or hold what no DSN may. */
async function placeLink(dataDir: string): Promise<Link> {
  const path = join(dataDir, 'postgres.socket')
  const isShort = Buffer.byteLength(join(path, `.s.PGSQL.${SOCKET_PORT}`)) <= MAX_SOCKET_PATH_BYTES
  // A comma in the host of a DSN would separate several.
  if (isShort && !path.includes(',')) return { path, litter: path }
  const directory = await mkdtemp(join(tmpdir(), 'messaging-db-'))
  return { path: join(directory, 's'), litter: directory }
}

/** Lets the link lead to the server, or stops it: out of reach it would only keep every later one from the directory. */
async function publish(server: EmbeddedPostgres, link: Link): Promise<void> {
  try {
    await pointTo(link.path, server)
  } catch (error) {
    await server.stop()
    throw error
  }
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
