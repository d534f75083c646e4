// A PostgreSQL beside the service, as in production: reached over TCP, killed and started again on the same data while the
// address stays. The server itself only listens on a socket, so a relay stands in for its TCP port.
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PostgresServer, startPostgresServer } from '../../src/embedded-postgres/server.ts'
import { execute, placeCluster } from './databases.ts'
import { silentLogger } from './silent-logger.ts'

const DATABASE = 'chat_app'

export class ExternalPostgres {
  /** First bytes of every connection. */
  readonly greetings: Buffer[] = []
  readonly #dataDir: string
  readonly #relay: Server
  readonly #sockets = new Set<Socket>()
  #hung: readonly Socket[] = []
  /** In place of the one that is asked for. */
  #database: string | undefined
  #server: PostgresServer | undefined

  private constructor(dataDir: string) {
    this.#dataDir = dataDir
    this.#relay = createServer((client) => this.#connected(client))
  }

  static async start(): Promise<ExternalPostgres> {
    const dataDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
    await placeCluster(dataDir)
    const postgres = new ExternalPostgres(dataDir)
    await postgres.startAgain()
    postgres.#relay.listen(0, '127.0.0.1')
    await once(postgres.#relay, 'listening')
    await postgres.run(`create role "user" login superuser password 'pass'`)
    await postgres.run(`create database ${DATABASE} owner "user"`)
    return postgres
  }

  /** The address that a service is given; `localhost` as in the README. */
  get dsn(): string {
    const { port } = this.#relay.address() as AddressInfo
    return `postgres://user:pass@localhost:${port}/${DATABASE}?sslmode=disable`
  }

  /** Runs one statement as superuser, not through the relay. */
  run(statement: string): Promise<void> {
    return execute(this.#server?.dsn ?? '', statement)
  }

  /** Kills the server and all its processes at once. */
  async kill(): Promise<void> {
    const server = this.#server
    if (!server) return
    const children = await readFile(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')
    for (const pid of [String(server.pid), ...children.split(' ')]) killIfAlive(Number(pid))
    await server.exited
    await server.stop()
    this.#server = undefined
  }

  async startAgain(): Promise<void> {
    const settings = { shared_buffers: '32MB' }
    this.#server = await startPostgresServer({ dataDir: this.#dataDir, logger: silentLogger, settings })
  }

  /** New connections are led to this database of the server, as to another server; its name has eight letters, too. */
  leadTo(database: string): void {
    this.#database = database
  }

  /** Connections so far hear nothing more, as where the network has lost a server without a word; new ones are served. */
  hang(): void {
    this.#hung = [...this.#sockets]
    for (const socket of this.#hung) socket.unpipe()
  }

  /** It is noticed that those are lost. */
  loseHung(): void {
    for (const socket of this.#hung) socket.destroy()
    this.#hung = []
  }

  async remove(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#relay.close()
    await this.#server?.stop()
    await rm(this.#dataDir, { recursive: true, force: true, maxRetries: 10 })
  }

  #connected(client: Socket): void {
    const socketDir = this.#server && new URL(this.#server.dsn).searchParams.get('host')
    if (!socketDir) return void client.destroy()
    const backend = connect(join(socketDir, '.s.PGSQL.5432'))
    client.once('data', (bytes) => {
      this.greetings.push(bytes)
      backend.write(Buffer.from(bytes.toString('latin1').replace(DATABASE, this.#database ?? DATABASE), 'latin1'))
      client.pipe(backend)
    })
    backend.pipe(client)
    for (const [one, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }
}

function killIfAlive(pid: number): void {
  if (pid <= 0) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It ended between the listing and the signal.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
