import type { EncodedEvent } from '../delivery/encoded.ts'
import { encodedTopic, type Topics } from '../delivery/topics.ts'
import type { UpgradeHandler } from '../gateway/admission.ts'
import type { HttpHandler } from '../gateway/http.ts'
import type { SocketListener } from '../gateway/socket.ts'
import type { Logger } from '../lib/logger.ts'
import { CODECS } from '../protocol/codec.ts'
import { MAX_FRAME_BYTES } from '../protocol/limits.ts'
import { bytesOf } from '../protocol/msgpack.ts'
import { clientAddress } from './address.ts'
import { type HttpServing, serveHttp, Underway } from './http.ts'
import { serveUpgrade } from './upgrade.ts'
import { loadUws, type TemplatedApp, type us_listen_socket } from './uws.ts'
import { type SocketHolder, UwsSocket, WriteQueue } from './websocket.ts'

export interface Tls {
  readonly certFile: string
  readonly keyFile: string
}

export interface ServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly tls: Tls | undefined
  /** A socket that answers no ping for so long is closed. */
  readonly idleTimeoutSeconds: number
  /** Other processes of this service listen on the same port; the kernel spreads connections. */
  readonly isShared: boolean
  readonly maxBackpressureBytes: number
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[]
  readonly logger: Logger
}

export interface ServerHandlers {
  readonly http: HttpHandler
  readonly upgrade: UpgradeHandler
}

/**
 * uWebSockets drops beyond its own limit without asking. Ours is reached first; the room between the two holds the answers
 * to commands and the page of a replay that is under way.
 */
const HARD_BACKPRESSURE_ROOM_BYTES = 16 * 1024 * 1024
/** Twice what we accept: uWebSockets can only cut a larger frame off, while we can say why. */
const HARD_FRAME_BYTES = 2 * MAX_FRAME_BYTES
/** Without it a second server on the port would silently take half of the connections. */
const EXCLUSIVE_PORT = 1
const SHARED_PORT = 0

type ListenOnHost = (
  host: string,
  port: number,
  options: number,
  done: (socket: us_listen_socket | false) => void,
) => void

/** The one uWebSockets app: REST and WebSocket on one port. */
export class Server implements Topics {
  readonly #uws = loadUws()
  readonly #options: ServerOptions
  readonly #app: TemplatedApp
  readonly #writes = new WriteQueue()
  readonly #makeSocket = (listener: SocketListener, isBinary: boolean): UwsSocket =>
    new UwsSocket(listener, isBinary, this.#writes, this.#options.logger)
  #serving: HttpServing | undefined
  #listenSocket: us_listen_socket | undefined

  constructor(options: ServerOptions) {
    this.#options = options
    const { tls } = options
    this.#app = tls ? createTlsApp(this.#uws, tls) : this.#uws.App()
  }

  mount({ http, upgrade }: ServerHandlers): void {
    const { logger, idleTimeoutSeconds, maxBackpressureBytes, trustedProxies } = this.#options
    const addressOf = clientAddress(trustedProxies)
    const serving: HttpServing = { handler: http, addressOf, logger, underway: new Underway() }
    const upgrading = { handler: upgrade, makeSocket: this.#makeSocket, http: serving }
    this.#serving = serving
    this.#app.ws<SocketHolder>('/ws', {
      compression: this.#uws.DISABLED,
      maxPayloadLength: HARD_FRAME_BYTES,
      maxBackpressure: maxBackpressureBytes + HARD_BACKPRESSURE_ROOM_BYTES,
      idleTimeout: idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => serveUpgrade({ res, req, context }, upgrading),
      open: (ws) => ws.getUserData().socket.opened(ws),
      message: (ws, message, isBinary) => ws.getUserData().socket.received(message, isBinary),
      drain: (ws) => ws.getUserData().socket.drained(),
      close: (ws, code) => ws.getUserData().socket.closed(code),
    })
    this.#app.any('/*', (res, req) => serveHttp(res, req, serving))
  }

  /** Resolves with the port; rejects when it is taken. */
  listen(): Promise<number> {
    const { host, port, isShared } = this.#options
    return new Promise((resolve, reject) => {
      // The overload with host and options exists in every build; the published types lack it (uWebSockets.js#118).
      const listen: ListenOnHost = this.#app.listen.bind(this.#app) as unknown as ListenOnHost
      listen(host, port, isShared ? SHARED_PORT : EXCLUSIVE_PORT, (socket) => {
        if (!socket) return reject(new Error(`can not listen on ${host}:${port}: is another server using the port?`))
        this.#listenSocket = socket
        resolve(this.#uws.us_socket_local_port(socket))
      })
    })
  }

  publish(topic: string, encoded: EncodedEvent): void {
    for (const codec of Object.values(CODECS)) {
      const name = encodedTopic(topic, codec)
      if (this.#app.numSubscribers(name) === 0) continue
      const frame = encoded.frame(codec)
      this.#app.publish(name, codec.binary ? bytesOf(frame) : frame, codec.binary)
    }
  }

  /** Resolves when every request that came before has its answer, or its client has gone. */
  async answered(): Promise<void> {
    if (!this.#serving) return
    const { underway } = this.#serving
    this.#serving.underway = new Underway()
    await underway.none()
  }

  /** Takes no new connection, and ends everything that is still open. */
  close(): void {
    if (this.#listenSocket) this.#uws.us_listen_socket_close(this.#listenSocket)
    this.#listenSocket = undefined
    this.#app.close()
  }
}

function createTlsApp(uws: ReturnType<typeof loadUws>, { certFile, keyFile }: Tls): TemplatedApp {
  try {
    return uws.SSLApp({ cert_file_name: certFile, key_file_name: keyFile })
  } catch (error) {
    // uWebSockets says no more than that it failed.
    const files = `TLS_CERT_FILE (${certFile}) and TLS_KEY_FILE (${keyFile})`
    throw new Error(`${files} are not a PEM certificate chain and its private key`, { cause: error })
  }
}
