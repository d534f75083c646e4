import type { TokenIdentity } from '../auth/claims.ts'
import type { Audience } from '../delivery/audience.ts'
import type { EncodedEvent } from '../delivery/encoded.ts'
import type { Fanout } from '../delivery/fanout.ts'
import type { KnownOfHole, MessagePlace, Recipient } from '../delivery/recipient.ts'
import { encodedTopic, presenceTopic } from '../delivery/topics.ts'
import { isoTime } from '../lib/iso-time.ts'
import type { Logger } from '../lib/logger.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { Epoch } from '../messages/epoch.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { MessageService } from '../messages/service.ts'
import type { Presence } from '../presence/presence.ts'
import { presenceEvent } from '../presence/presence-event.ts'
import type { PresenceWatches } from '../presence/watches.ts'
import { type CloseName, DEFAULT_RETRY_AFTER_MS, ERRORS, type ErrorCode } from '../protocol/codes.ts'
import type { CommandOf, Ref } from '../protocol/commands.ts'
import type { ServerEvent } from '../protocol/events.ts'
import { MAX_FRAME_BYTES, MAX_SENDS_IN_FLIGHT, MAX_WATCHED } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import type { Advancing, Caller, CallerIdentity } from './caller.ts'
import { costOf, type RunCommand } from './command-table.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import type { Connections } from './connections.ts'
import type { Guard, Place } from './guard.ts'
import type { Outbound } from './outbound.ts'
import { sendFault } from './send-fault.ts'
import type { ServerTime } from './server-time.ts'
import type { Socket, SocketListener } from './socket.ts'
import type { TokenLives } from './token-lives.ts'
import { commandIn, EXAMPLE_FRAME, type ParsedCommand, type Refusal } from './wire/commands.ts'

/** Refusals for speed that one connection gets before it is closed: a few full windows of sends. */
const MAX_RATE_REFUSALS = 1000
/** Looks of one connection at a time: a page may be 2 MB, and each takes a place in a batch from somebody else. */
const MAX_LOOKS_AT_ONCE = 4
/** Sends beyond the limit in flight, with no outcome in between, before the connection is closed: as many as the limit itself. */
const MAX_OVERSHOT = MAX_SENDS_IN_FLIGHT

export interface CommandObserver {
  /** A command was answered with an error. */
  commandRefused(code: ErrorCode): void
}

export interface ConnectionServices {
  readonly run: RunCommand
  makeOutbound(caller: Caller, socket: Socket): Outbound
  readonly connections: Connections
  readonly connectionLimit: ConnectionLimit
  readonly epoch: Pick<Epoch, 'current'>
  readonly messages: Pick<MessageService, 'line'>
  readonly fanout: Pick<Fanout, 'joined' | 'left'>
  readonly presence: Pick<Presence, 'connected' | 'disconnected'>
  readonly watches: PresenceWatches
  readonly audience: Pick<Audience, 'changed'>
  readonly guard: Pick<Guard, 'command'>
  /** None under `AUTH=none`. */
  readonly tokenLives: Pick<TokenLives, 'started' | 'ended'> | undefined
  readonly serverTime: Pick<ServerTime, 'now'>
  readonly logger: Logger
  readonly observer: CommandObserver
  readonly limits: {
    readonly maxContentBytes: number
    readonly heartbeatSeconds: number
  }
}

/** To a person who types into a tool for WebSockets: a close would show them nothing. */
const NOT_JSON: ParsedCommand = {
  ok: false,
  refusal: { code: 'invalid_json', message: `This is not JSON; a frame is one object, such as ${EXAMPLE_FRAME}.` },
}

/** One client: decodes its frames into commands, runs them in order, and answers; what it is told unasked is `Outbound`'s. */
export class Connection implements SocketListener, Recipient, Caller {
  readonly identity: CallerIdentity
  readonly #services: ConnectionServices
  readonly #place: Place
  line = 0
  /** Sends that wait for their outcome. */
  sendsInFlight = 0
  isLooking = true
  advancing: Advancing | undefined
  #rateRefusals = 0
  #overshot = 0
  #socket: Socket | undefined
  #outbound: Outbound | undefined
  #watched: Set<UserId> | undefined
  /** Most connections never look at anything. */
  #turns: Semaphore | undefined

  /** `place`: among the sockets that may be open; given back when it closes. */
  constructor(identity: CallerIdentity, services: ConnectionServices, place: Place) {
    this.identity = identity
    this.#place = place
    this.#services = services
  }

  get userId(): UserId {
    return this.identity.userId
  }

  get isOpen(): boolean {
    return this.#socket !== undefined
  }

  get lastHeard(): number {
    return this.#socket?.lastHeard ?? 0
  }

  get turns(): Semaphore {
    this.#turns ??= new Semaphore(MAX_LOOKS_AT_ONCE)
    return this.#turns
  }

  opened(socket: Socket): void {
    const { fanout, presence, connections, connectionLimit, limits, epoch, serverTime } = this.#services
    const { expiresAtMs } = this.identity
    this.line = this.#services.messages.line
    this.#socket = socket
    this.#outbound = this.#services.makeOutbound(this, socket)
    connections.add(this)
    this.#services.audience.changed(this.userId)
    const joined = fanout.joined(this.userId)
    presence.connected(this.userId)
    this.reply({
      type: 'welcome',
      user_id: this.userId,
      connection_id: this.identity.connectionId,
      server_time: serverTime.now(),
      epoch: epoch.current,
      protocol: 1,
      max_content_bytes: limits.maxContentBytes,
      heartbeat_seconds: limits.heartbeatSeconds,
      ...(expiresAtMs !== undefined && { expires_at: isoTime(expiresAtMs) }),
    })
    // The last step that may close it: a token that was revoked meanwhile.
    if (isProven(this.identity)) this.#services.tokenLives?.started(this, this.identity)
    connectionLimit.opened(this.userId)
    void this.#outbound?.catchUp(joined)
  }

  received(bytes: Uint8Array, isBinary: boolean): void {
    const { codec, implicit } = this.identity
    if (bytes.byteLength > MAX_FRAME_BYTES) return this.close('too_large')
    if (isBinary !== codec.binary) return this.close('wrong_frame_kind')
    const decoded = codec.decode(bytes)
    if (!decoded && !implicit) return this.close('undecodable')
    const { maxContentBytes } = this.#services.limits
    const parsed = decoded ? commandIn(decoded, { maxContentBytes, implicitSend: implicit }) : NOT_JSON
    const waitMs = this.#services.guard.command(this.userId, parsed.ok ? costOf(parsed.command) : 1)
    if (waitMs > 0) this.#slowDown(waitMs, parsed.ok ? parsed.command : parsed.refusal)
    else if (parsed.ok) this.#services.run(this, parsed.command)
    else this.refuse(parsed.refusal)
  }

  watch(userIds: readonly UserId[], ref?: Ref): boolean {
    this.#watched ??= new Set()
    const watched = this.#watched
    const added = [...new Set(userIds)].filter((userId) => !watched.has(userId))
    if (watched.size + added.length > MAX_WATCHED) {
      const message = `user_ids must be no more than fits: one connection can watch ${MAX_WATCHED} users.`
      this.refuse({ code: 'invalid_request', message, field: 'user_ids', ref })
      return false
    }
    if (!this.#services.watches.watch(added)) {
      this.refuse({ code: 'overloaded', message: 'This server watches as many users as it can.', ref })
      return false
    }
    for (const userId of added) {
      watched.add(userId)
      this.#socket?.subscribe(encodedTopic(presenceTopic(userId), this.identity.codec.name))
    }
    return true
  }

  async tellStates(userIds: readonly UserId[]): Promise<void> {
    if (!this.#watched) return
    for (const state of await this.#services.watches.states([...new Set(userIds)]))
      if (this.#watched?.has(state.userId)) this.reply(presenceEvent(state))
  }

  unwatch(userIds: readonly UserId[]): void {
    const dropped = userIds.filter((userId) => this.#watched?.delete(userId))
    for (const userId of dropped) {
      this.#socket?.unsubscribe(encodedTopic(presenceTopic(userId), this.identity.codec.name))
    }
    this.#services.watches.unwatch(dropped)
  }

  sending(peer: UserId, id: string): void {
    this.#outbound?.sending(peer, id)
  }

  overshot({ ref, id }: CommandOf<'send'>): void {
    this.#overshot += 1
    if (this.#overshot > MAX_OVERSHOT) return this.close('rate_limited')
    this.refuse({ code: 'too_many_in_flight', ref, id })
  }

  reply(event: ServerEvent): void {
    this.#outbound?.send(event)
  }

  refuse({ code, message, field, ref, id, retryAfterMs }: Refusal): void {
    const { temporary, message: meaning } = ERRORS[code]
    this.#services.observer.commandRefused(code)
    const retry_after_ms = temporary ? (retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) : undefined
    this.reply({ type: 'error', ref, code, message: message ?? meaning, field, retry_after_ms, id })
  }

  /** The outcome of one of this connection's sends. */
  settled(send: QueuedSend): void {
    const { fate, ref, id, seq, receiver_id, created_at } = send
    const fault = sendFault(send)
    this.sendsInFlight -= 1
    // With any outcome: only now is there something that a client could have waited for.
    this.#overshot = 0
    this.#outbound?.answered(receiver_id, id, fault === undefined)
    if (fault) return this.refuse({ ...fault, id, ref })
    this.reply({ type: 'sent', ref, id, seq, with: receiver_id, created_at, duplicate: fate === 'duplicate' })
  }

  message(message: MessagePlace, encoded: EncodedEvent): void {
    this.#outbound?.message(message, encoded)
  }

  event(encoded: EncodedEvent): void {
    this.#outbound?.event(encoded)
  }

  mayLackBelow(peer: UserId): void {
    this.#outbound?.mayLackBelow(peer)
  }

  replayFrom(peer: UserId, fromSeq: number, known?: KnownOfHole): void {
    this.#outbound?.replayFrom(peer, fromSeq, known)
  }

  dropped(message: MessagePlace | undefined): void {
    this.#outbound?.dropped(message)
  }

  emptied(): void {
    this.#outbound?.emptied()
  }

  ping(): void {
    this.#socket?.ping()
  }

  close(name: CloseName, reason?: string): void {
    this.#socket?.close(name, reason)
  }

  closed(code: number): void {
    const { fanout, presence, connections, logger } = this.#services
    if (!this.#socket) return
    this.#socket = undefined
    this.#outbound?.closed()
    this.#outbound = undefined
    connections.remove(this)
    this.#services.audience.changed(this.userId)
    this.#services.tokenLives?.ended(this)
    this.#place.release()
    fanout.left(this.userId)
    if (this.#watched) this.unwatch([...this.#watched])
    this.#watched = undefined
    presence.disconnected(this.userId)
    logger.debug({ connection_id: this.identity.connectionId, code }, 'connection closed')
  }

  /** A client that goes on after many refusals does not read them. */
  #slowDown(retryAfterMs: number, { ref, id }: { ref?: Ref | undefined; id?: string | undefined }): void {
    this.#rateRefusals += 1
    if (this.#rateRefusals > MAX_RATE_REFUSALS) return this.close('rate_limited')
    this.refuse({ code: 'rate_limited', retryAfterMs, ref, id })
  }
}

/** Under `AUTH=none` nothing but the id is known. */
function isProven(identity: CallerIdentity): identity is CallerIdentity & TokenIdentity {
  return identity.expiresAtMs !== undefined
}
