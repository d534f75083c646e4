import type { EncodedEvent } from '../delivery/encoded.ts'
import { encodedTopic, type Topics } from '../delivery/topics.ts'
import type { UpgradeHandler } from '../gateway/admission.ts'
import type { HttpHandler, RestAnswer } from '../gateway/rest-exchange.ts'
import type { SocketListener } from '../gateway/socket.ts'
import { CODECS } from '../gateway/wire/codec.ts'
import { bytesOf } from '../gateway/wire/msgpack.ts'
import type { Logger } from '../lib/logger.ts'
import { MAX_FRAME_BYTES } from '../protocol/limits.ts'
import { clientAddress } from './address.ts'
import {
  type Certificate,
  type CertificateFiles,
  isSameCertificate,
  readCertificate,
  watchCertificate,
} from './certificate.ts'
import { type HttpServing, serveHttp } from './http.ts'
import { PendingCount } from './pending-count.ts'
import { serveUpgrade } from './upgrade.ts'
import { loadUws, type TemplatedApp, type us_listen_socket } from './uws.ts'
import { type SocketHolder, UwsSocket, WriteQueue } from './websocket.ts'

export interface ServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly tls: CertificateFiles | undefined
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
  /** A socket has ended, whoever ended it. */
  closed(code: number): void
  /** A request was refused without asking `http` or `upgrade`, because of how it is written or framed. */
  answeredUnasked(method: string, answer: RestAnswer): void
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

/** An uWebSockets app, and its part of the port. */
interface Listener {
  readonly app: TemplatedApp
  /** Gone while it takes no new connections. */
  listenSocket: us_listen_socket | undefined
  openSockets: number
}

/**
 * REST and WebSocket on one port. An uWebSockets app keeps the certificate that it was made with; for a new one there is a
 * new app, and the old one stays for the connections that it has.
 */
export class Server implements Topics {
  readonly #uws = loadUws()
  readonly #options: ServerOptions
  readonly #writes = new WriteQueue()
  readonly #makeSocket = (listener: SocketListener, isBinary: boolean): UwsSocket =>
    new UwsSocket(listener, isBinary, this.#writes, this.#options.logger)
  /** The one that takes new connections. */
  #current: Listener
  /** All that have sockets, and the current one. */
  readonly #listeners = new Set<Listener>()
  #certificate: Certificate | undefined
  #stopWatching: (() => void) | undefined
  #handlers: ServerHandlers | undefined
  #serving: HttpServing | undefined

  constructor(options: ServerOptions) {
    this.#options = options
    if (options.tls) this.#certificate = readCertificate(options.tls)
    this.#current = this.#newListener()
    this.#listeners.add(this.#current)
  }

  mount(handlers: ServerHandlers): void {
    const { logger, trustedProxies } = this.#options
    const addressOf = clientAddress(trustedProxies)
    this.#handlers = handlers
    const { http: handler, answeredUnasked } = handlers
    this.#serving = { handler, addressOf, logger, answeredUnasked, underway: new PendingCount() }
    this.#route(this.#current, handlers.upgrade, this.#serving)
  }

  /** Resolves with the port; rejects when it is taken. From then on a changed certificate is served without being asked. */
  async listen(): Promise<number> {
    const { host, port, tls } = this.#options
    const socket = this.#listen(this.#current, port)
    if (!socket) throw new Error(`cannot listen on ${host}:${port}: is another server using the port?`)
    if (tls) this.#stopWatching = watchCertificate(tls, () => this.reloadCertificate())
    return this.#uws.us_socket_local_port(socket)
  }

  /**
   * New connections get the certificate that is in the files now; those that are open keep theirs. A certificate that
   * no client could use is refused with a line of the log, and the old one stays.
   */
  reloadCertificate(): void {
    const { tls, logger, port } = this.#options
    if (!tls) return logger.info({}, 'there is no certificate to read again: TLS is off')
    if (!this.#current.listenSocket) return
    try {
      const certificate = readCertificate(tls)
      if (this.#certificate && isSameCertificate(certificate, this.#certificate)) {
        return logger.info({}, 'the certificate is the one that is served already')
      }
      requireValidNow(certificate)
      if (port === 0) throw new Error('a port that the system chose (PORT=0) cannot be listened on again')
      this.#replaceListener(this.#newListener())
      this.#certificate = certificate
      const { names, validTo } = certificate
      logger.info({ names, valid_to: validTo.toISOString() }, 'a new certificate is served')
    } catch (error) {
      logger.warn({ err: error }, 'the new certificate is refused, the old one is still served')
    }
  }

  publish(topic: string, encoded: EncodedEvent): void {
    for (const codec of Object.values(CODECS)) {
      const name = encodedTopic(topic, codec.name)
      for (const { app } of this.#listeners) {
        if (app.numSubscribers(name) === 0) continue
        const frame = encoded.frame(codec)
        app.publish(name, codec.binary ? bytesOf(frame) : frame, codec.binary)
      }
    }
  }

  /** Resolves when every request that came before has its answer, or its client has gone. */
  async answered(): Promise<void> {
    if (!this.#serving) return
    const { underway } = this.#serving
    this.#serving.underway = new PendingCount()
    await underway.none()
  }

  /** Takes no new connection, and ends everything that is still open. */
  close(): void {
    this.#stopWatching?.()
    this.#stopListening(this.#current)
    for (const { app } of this.#listeners) app.close()
  }

  #newListener(): Listener {
    const { tls } = this.#options
    return { app: tls ? createTlsApp(this.#uws, tls) : this.#uws.App(), listenSocket: undefined, openSockets: 0 }
  }

  #route(listener: Listener, upgrade: UpgradeHandler, serving: HttpServing): void {
    const { idleTimeoutSeconds, maxBackpressureBytes } = this.#options
    const upgrading = { handler: upgrade, makeSocket: this.#makeSocket, http: serving }
    listener.app.ws<SocketHolder>('/ws', {
      compression: this.#uws.DISABLED,
      maxPayloadLength: HARD_FRAME_BYTES,
      maxBackpressure: maxBackpressureBytes + HARD_BACKPRESSURE_ROOM_BYTES,
      idleTimeout: idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => serveUpgrade({ res, req, context }, upgrading),
      open: (ws) => {
        listener.openSockets += 1
        // A replaced app may have been left without any.
        this.#listeners.add(listener)
        ws.getUserData().socket.opened(ws)
      },
      message: (ws, message, isBinary) => ws.getUserData().socket.received(message, isBinary),
      ping: (ws) => ws.getUserData().socket.heard(),
      pong: (ws) => ws.getUserData().socket.heard(),
      drain: (ws) => ws.getUserData().socket.drained(),
      close: (ws, code) => {
        listener.openSockets -= 1
        if (listener.openSockets === 0 && listener !== this.#current) this.#listeners.delete(listener)
        ws.getUserData().socket.closed(code)
        this.#handlers?.closed(code)
      },
    })
    listener.app.any('/*', (res, req) => serveHttp(res, req, serving))
  }

  #listen(listener: Listener, port: number): us_listen_socket | false {
    const { host, isShared } = this.#options
    // The overload with host and options exists in every build; the published types lack it (uWebSockets.js#118).
    const listen: ListenOnHost = listener.app.listen.bind(listener.app) as unknown as ListenOnHost
    let result: us_listen_socket | false = false
    // Called back within the call.
    listen(host, port, isShared ? SHARED_PORT : EXCLUSIVE_PORT, (socket) => {
      result = socket
    })
    listener.listenSocket = result || undefined
    return result
  }

  #stopListening(listener: Listener): void {
    if (listener.listenSocket) this.#uws.us_listen_socket_close(listener.listenSocket)
    listener.listenSocket = undefined
  }

  /** Within one turn of the event loop, so that the port is left for some microseconds only. */
  #replaceListener(next: Listener): void {
    const { port, host } = this.#options
    const before = this.#current
    if (this.#handlers && this.#serving) this.#route(next, this.#handlers.upgrade, this.#serving)
    this.#stopListening(before)
    if (!this.#listen(next, port)) {
      if (!this.#listen(before, port)) throw new Error(`cannot listen on ${host}:${port} any more`)
      throw new Error(`could not listen on ${host}:${port} with it`)
    }
    this.#current = next
    this.#listeners.add(next)
    if (before.openSockets === 0) this.#listeners.delete(before)
  }
}

function createTlsApp(uws: ReturnType<typeof loadUws>, { certFile, keyFile }: CertificateFiles): TemplatedApp {
  try {
    return uws.SSLApp({ cert_file_name: certFile, key_file_name: keyFile })
  } catch (error) {
    // uWebSockets says no more than that it failed.
    throw new Error(`uWebSockets cannot use TLS_CERT_FILE (${certFile}) and TLS_KEY_FILE (${keyFile})`, {
      cause: error,
    })
  }
}

function requireValidNow({ validFrom, validTo }: Certificate): void {
  const now = new Date()
  if (now > validTo) throw new Error(`it has been invalid since ${validTo.toISOString()}`)
  if (now < validFrom) throw new Error(`it is valid only from ${validFrom.toISOString()} on`)
}
