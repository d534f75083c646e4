import { type Authenticator, type AuthFault, type Verification, verified } from '../auth/authenticator.ts'
import type { TokenIdentity } from '../auth/claims.ts'
import type { Clock } from '../lib/clock.ts'
import type { CloseName, ErrorCode } from '../protocol/codes.ts'
import { ERRORS } from '../protocol/codes.ts'
import type { Ref } from '../protocol/commands.ts'
import { MAX_FRAME_BYTES } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import type { CommandObserver } from './connection.ts'
import type { Guard } from './guard.ts'
import type { Socket, SocketListener } from './socket.ts'
import type { Codec } from './wire/codec.ts'
import { commandIn } from './wire/commands.ts'

export interface LobbyOptions {
  readonly authenticator: Authenticator
  readonly clock: Clock
  readonly guard: Pick<Guard, 'credentialRefused'>
  readonly observer: CommandObserver
  /** Sockets that may wait at once, of all addresses together. */
  readonly maxVisitors: number
}

/** One socket whose user is not known yet. */
export interface Visit {
  readonly address: string
  readonly codec: Codec
  /** A client without a subprotocol. */
  readonly implicit: boolean
  /** Named in the query: a visitor who proves to be somebody else is turned away. */
  readonly claimed: UserId | undefined
  /** What came with the upgrade and is being looked up, or was refused already; a first frame `auth` is awaited if none. */
  readonly verification: Verification | Promise<Verification> | undefined
  /** The connection that it becomes. */
  admit(identity: TokenIdentity): SocketListener
  /** It left without becoming one. */
  left(): void
}

/** How long a socket may be without a valid credential, milliseconds. */
const AUTH_LIMIT_MS = 5_000
const MAX_VISITORS_PER_ADDRESS = 100
/** Frames other than `auth` and `ping` that are answered before the socket is closed. */
const MAX_REFUSALS = 16
/** Pings that are answered: no client needs so many within five seconds. */
const MAX_PINGS = 1_000

/**
 * Where sockets wait until their user is known. It holds little of each and for five seconds at most. When there are too many
 * from one address, or altogether, the one that waits longest goes: people with a token come and go within one turn of the
 * event loop, so a flood of silent sockets pushes out its own.
 */
export class Lobby {
  readonly #options: LobbyOptions
  /** Longest waiting first, as sets keep the order of arrival. */
  readonly #visitors = new Set<Visitor>()
  readonly #byAddress = new Map<string, Set<Visitor>>()

  constructor(options: LobbyOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#visitors.size
  }

  /** What listens to a socket that has just been upgraded. */
  receive(visit: Visit): SocketListener {
    return new Visitor(visit, this, this.#options)
  }

  /** Closes everybody, as before an end of the service. */
  close(name: CloseName): void {
    for (const visitor of [...this.#visitors]) visitor.close(name)
  }

  enter(visitor: Visitor, address: string): void {
    const neighbours = this.#byAddress.get(address) ?? new Set()
    if (neighbours.size >= MAX_VISITORS_PER_ADDRESS) longestWaiting(neighbours)?.close('no_auth_in_time')
    if (this.#visitors.size >= this.#options.maxVisitors) longestWaiting(this.#visitors)?.close('no_auth_in_time')
    this.#visitors.add(visitor)
    // Looked up again: the visitor that just went may have been the last of this address.
    const present = this.#byAddress.get(address) ?? new Set()
    present.add(visitor)
    this.#byAddress.set(address, present)
  }

  leave(visitor: Visitor, address: string): void {
    this.#visitors.delete(visitor)
    const neighbours = this.#byAddress.get(address)
    neighbours?.delete(visitor)
    if (neighbours?.size === 0) this.#byAddress.delete(address)
  }
}

function longestWaiting(visitors: Iterable<Visitor>): Visitor | undefined {
  for (const visitor of visitors) return visitor
  return undefined
}

/** One socket in the lobby: answers pings, waits for `auth`, and hands the socket over. */
class Visitor implements SocketListener {
  readonly #visit: Visit
  readonly #lobby: Lobby
  readonly #options: LobbyOptions
  #socket: Socket | undefined
  #cancelLimit = (): void => undefined
  /** A credential is being looked up; another one waits for its outcome no more than for a reply. */
  #isVerifying = false
  #refusals = 0
  #pings = 0

  constructor(visit: Visit, lobby: Lobby, options: LobbyOptions) {
    this.#visit = visit
    this.#lobby = lobby
    this.#options = options
  }

  opened(socket: Socket): void {
    const { verification } = this.#visit
    this.#socket = socket
    if (verification !== undefined && !(verification instanceof Promise)) return this.#decide(verification)
    this.#lobby.enter(this, this.#visit.address)
    this.#cancelLimit = this.#options.clock.after(AUTH_LIMIT_MS, () => this.close('no_auth_in_time'))
    if (verification !== undefined) this.#await(verification)
  }

  received(bytes: Uint8Array, isBinary: boolean): void {
    const { codec, implicit } = this.#visit
    if (bytes.byteLength > MAX_FRAME_BYTES) return this.close('too_large')
    if (isBinary !== codec.binary) return this.close('wrong_frame_kind')
    const decoded = codec.decode(bytes)
    // A person who types into a tool for WebSockets would see nothing of a close.
    if (!decoded) return implicit ? this.#refuse(undefined) : this.close('undecodable')
    const parsed = commandIn(decoded, { maxContentBytes: MAX_FRAME_BYTES, implicitSend: implicit })
    if (parsed.ok && parsed.command.type === 'ping') return this.#pong(parsed.command.ref)
    if (parsed.ok && parsed.command.type === 'auth') return this.#auth(parsed.command.token, parsed.command.ref)
    this.#refuse(parsed.ok ? parsed.command.ref : parsed.refusal.ref)
  }

  emptied(): void {
    // Nothing of value is written here.
  }

  dropped(): void {
    // As above.
  }

  close(name: CloseName, reason?: string): void {
    this.#socket?.close(name, reason)
  }

  closed(): void {
    if (!this.#socket) return
    this.#leave()
    this.#visit.left()
  }

  #auth(token: string, ref: Ref | undefined): void {
    if (this.#isVerifying) return this.#refuse(ref)
    const verification = verified(this.#options.authenticator, token)
    if (verification instanceof Promise) this.#await(verification, ref)
    else this.#decide(verification, ref)
  }

  #await(verification: Promise<Verification>, ref?: Ref): void {
    this.#isVerifying = true
    void verification.then((outcome) => {
      this.#isVerifying = false
      // The client may have gone meanwhile.
      if (this.#socket) this.#decide(outcome, ref)
    })
  }

  #decide(verification: Verification, ref?: Ref): void {
    if ('fault' in verification) return this.#refused(verification.fault, ref)
    const { claimed } = this.#visit
    if (claimed !== undefined && claimed !== verification.identity.userId) {
      return this.#turnAway('forbidden', 'forbidden', ref)
    }
    const socket = this.#socket
    this.#leave()
    // In the same turn as the verification: a revocation finds the socket either here or among the connections.
    socket?.handOver(this.#visit.admit(verification.identity))
  }

  #refused(fault: AuthFault, ref: Ref | undefined): void {
    if (fault === 'unavailable') return this.#turnAway('unavailable', 'overloaded', ref)
    const waitMs = this.#options.guard.credentialRefused(this.#visit.address)
    if (waitMs === 0) return this.#turnAway('unauthorized', 'unauthorized', ref)
    this.#turnAway('rate_limited', 'rate_limited', ref, waitMs)
  }

  #turnAway(code: ErrorCode, name: CloseName, ref: Ref | undefined, retryAfterMs?: number): void {
    this.#reply({ code, ref, retryAfterMs })
    this.close(name)
  }

  #refuse(ref: Ref | undefined): void {
    this.#refusals += 1
    if (this.#refusals > MAX_REFUSALS) return this.close('unauthorized')
    this.#reply({ code: 'unauthorized', ref })
  }

  #pong(ref: Ref | undefined): void {
    this.#pings += 1
    if (this.#pings > MAX_PINGS) return this.close('rate_limited')
    this.#socket?.send(this.#visit.codec.encode({ type: 'pong', ref }))
  }

  #reply({
    code,
    ref,
    retryAfterMs,
  }: {
    code: ErrorCode
    ref: Ref | undefined
    retryAfterMs?: number | undefined
  }): void {
    const { message } = ERRORS[code]
    this.#options.observer.commandRefused(code)
    this.#socket?.send(this.#visit.codec.encode({ type: 'error', ref, code, message, retry_after_ms: retryAfterMs }))
  }

  #leave(): void {
    this.#socket = undefined
    this.#cancelLimit()
    this.#lobby.leave(this, this.#visit.address)
  }
}
