import type { Authentication } from './authentication.ts'
import type { Config } from './config.ts'
import type { Connections } from './gateway/connections.ts'
import { drainConnections, restartConnections } from './gateway/drain.ts'
import type { Instances } from './instances.ts'
import { systemClock as clock, sleep } from './lib/clock.ts'
import type { MessageWriter } from './messages/writer.ts'
import type { Server } from './transport/server.ts'

/** What ends in the order of a drain. */
export interface Draining {
  readonly connections: Connections
  readonly writer: MessageWriter
  readonly server: Server
  readonly instances: Instances
  readonly authentication: Authentication | undefined
}

/** Of the time for a shutdown; what is left is for closing sockets and for whatever is slow to let go. */
const DRAINING_PART = 0.8

/** The part of the composition root that ends the service: nothing acknowledged is lost, everything queued is answered. */
export class Shutdown {
  /** Answers that a socket still waits for. A drain waits for them too. */
  readonly answersUnderWay = new Set<Promise<void>>()
  readonly #config: Config['shutdown']
  #hasBegun = false

  constructor(config: Config['shutdown']) {
    this.#config = config
  }

  /** From then on nobody new is let in. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Tells every client to come back, and closes its connection in the same turn. */
  restart(connections: Connections): void {
    restartConnections(connections, this.#config.drainReconnectSpreadMs)
  }

  /**
   * Announce · answer what is queued and being read · close with "come back". Until the end the service listens: a probe hears
   * that it is not ready, and a client that wants to connect hears when to come back. What the answers needed is for the caller
   * to release, the database last.
   */
  async drain({ connections, writer, server, instances, authentication }: Draining): Promise<void> {
    this.#hasBegun = true
    instances.presence.drain()
    authentication?.lobby.close('restart')
    const close = drainConnections(connections, this.#config.drainReconnectSpreadMs)
    const drainingMs = this.#config.timeoutMs * DRAINING_PART
    const endMs = clock.now() + drainingMs
    await writer.close(drainingMs)
    const answered = Promise.all([server.answered(), ...this.answersUnderWay])
    await Promise.race([answered, sleep(clock, Math.max(0, endMs - clock.now()))])
    await close()
    server.close()
  }
}
