import type { EncodedEvent } from '../delivery/encoded.ts'
import type { KnownOfHole, MessagePlace, Recipient } from '../delivery/recipient.ts'
import { encodedTopic, presenceTopic } from '../delivery/topics.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import { type CloseName, DEFAULT_RETRY_AFTER_MS, ERRORS } from '../protocol/codes.ts'
import { type CommandOf, parseCommand, type Ref, type Refusal } from '../protocol/commands.ts'
import type { ServerEvent } from '../protocol/events.ts'
import { MAX_FRAME_BYTES, MAX_SENDS_IN_FLIGHT, MAX_WATCHED } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import type { Client, ClientIdentity, ConnectionServices } from './client.ts'
import { runCommand } from './command-table.ts'
import { Outbound } from './outbound.ts'
import { presenceEvent } from './presence-event.ts'
import type { Socket, SocketListener } from './socket.ts'

/** Refusals for speed that one connection gets before it is closed: a few full windows of sends. */
const MAX_RATE_REFUSALS = 1000
/** Reads of one connection at a time: a page may be 2 MB, and each takes a place in a batch from somebody else. */
const MAX_READS_AT_ONCE = 4
/** Sends beyond the limit in flight, with no outcome in between, before the connection is closed: as many as the limit itself. */
const MAX_OVERSHOT = MAX_SENDS_IN_FLIGHT

/** One client: decodes its frames into commands, runs them in order, and answers; what it is told unasked is `Outbound`'s. */
export class Connection implements SocketListener, Recipient, Client {
  readonly identity: ClientIdentity
  readonly services: ConnectionServices
  /** Sends that wait for their outcome. */
  sendsInFlight = 0
  moving: Promise<unknown> | undefined
  #rateRefusals = 0
  #overshot = 0
  #socket: Socket | undefined
  #outbound: Outbound | undefined
  #watched: Set<UserId> | undefined
  /** Most connections never read. */
  #reads: Semaphore | undefined

  constructor(identity: ClientIdentity, services: ConnectionServices) {
    this.identity = identity
    this.services = services
  }

  get userId(): UserId {
    return this.identity.userId
  }

  get isOpen(): boolean {
    return this.#socket !== undefined
  }

  get reads(): Semaphore {
    this.#reads ??= new Semaphore(MAX_READS_AT_ONCE)
    return this.#reads
  }

  opened(socket: Socket): void {
    const { fanout, presence, connections, guard, limits, clock } = this.services
    this.#socket = socket
    this.#outbound = new Outbound(this, socket)
    connections.add(this)
    guard.opened(this.identity.address)
    const joined = fanout.joined(this)
    presence.connected(this.userId)
    this.reply({
      type: 'welcome',
      user_id: this.userId,
      connection_id: this.identity.connectionId,
      server_time: new Date(clock.now()).toISOString(),
      protocol: 1,
      max_content_bytes: limits.maxContentBytes,
      heartbeat_seconds: limits.heartbeatSeconds,
    })
    this.#replaceOldest()
    void this.#outbound.catchUp(joined)
  }

  received(bytes: Uint8Array, isBinary: boolean): void {
    const { codec, implicit } = this.identity
    if (bytes.byteLength > MAX_FRAME_BYTES) return this.close('too_large')
    if (isBinary !== codec.binary) return this.close('wrong_frame_kind')
    const decoded = codec.decode(bytes)
    if (!decoded) return this.close('undecodable')
    const { maxContentBytes } = this.services.limits
    const parsed = parseCommand(decoded.value, { maxContentBytes, implicitSend: implicit })
    const waitMs = this.services.guard.command(this.userId)
    if (waitMs > 0) this.#slowDown(waitMs, parsed.ok ? parsed.command : parsed.refusal)
    else if (parsed.ok) runCommand(this, parsed.command)
    else this.refuse(parsed.refusal)
  }

  async watch(userIds: readonly UserId[], ref?: Ref): Promise<void> {
    this.#watched ??= new Set()
    const watched = this.#watched
    const added = [...new Set(userIds)].filter((userId) => !watched.has(userId))
    if (watched.size + added.length > MAX_WATCHED) {
      const message = `One connection can watch ${MAX_WATCHED} users.`
      return this.refuse({ code: 'invalid_request', message, field: 'user_ids', ...(ref !== undefined && { ref }) })
    }
    for (const userId of added) {
      watched.add(userId)
      this.#socket?.subscribe(encodedTopic(presenceTopic(userId), this.identity.codec))
    }
    await this.services.watches.watch(added)
    for (const state of await this.services.watches.states(userIds))
      if (watched.has(state.userId)) this.reply(presenceEvent(state))
  }

  unwatch(userIds: readonly UserId[]): void {
    const dropped = userIds.filter((userId) => this.#watched?.delete(userId))
    for (const userId of dropped) {
      this.#socket?.unsubscribe(encodedTopic(presenceTopic(userId), this.identity.codec))
    }
    this.services.watches.unwatch(dropped)
  }

  sending(other: UserId, id: string): void {
    this.#outbound?.sending(other, id)
  }

  overshot({ ref, id }: CommandOf<'send'>): void {
    this.#overshot += 1
    if (this.#overshot > MAX_OVERSHOT) return this.close('rate_limited')
    this.refuse({ code: 'too_many_in_flight', ...(ref !== undefined && { ref }), ...(id && { id }) })
  }

  reply(event: ServerEvent): void {
    this.#outbound?.send(event)
  }

  refuse({ code, message, field, ref, id, retryAfterMs }: Refusal): void {
    const { temporary, message: meaning } = ERRORS[code]
    const retry_after_ms = temporary ? (retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) : undefined
    this.reply({ type: 'error', ref, code, message: message ?? meaning, field, retry_after_ms, id })
  }

  /** The outcome of one of this connection's sends. */
  settled({ refusal, fate, ref, id, seq, receiver_id, created_at }: QueuedSend): void {
    this.sendsInFlight -= 1
    // Whatever the outcome: only now is there something that a client could have waited for.
    this.#overshot = 0
    this.#outbound?.answered(receiver_id, id, refusal === undefined && fate !== 'conflict')
    if (refusal) return this.refuse({ code: refusal, id, ...(ref !== undefined && { ref }) })
    if (fate === 'conflict') return this.refuse({ code: 'id_conflict', id, ...(ref !== undefined && { ref }) })
    this.reply({ type: 'sent', ref, id, seq, with: receiver_id, created_at, duplicate: fate === 'duplicate' })
  }

  message(message: MessagePlace, encoded: EncodedEvent): void {
    this.#outbound?.message(message, encoded)
  }

  event(encoded: EncodedEvent): void {
    this.#outbound?.event(encoded)
  }

  unsure(other: UserId): void {
    this.#outbound?.unsure(other)
  }

  owe(other: UserId, fromSeq: number, known?: KnownOfHole): void {
    this.#outbound?.owe(other, fromSeq, known)
  }

  dropped(message: MessagePlace | undefined): void {
    this.#outbound?.dropped(message)
  }

  flushed(): void {
    this.#outbound?.flushed()
  }

  close(name: CloseName): void {
    this.#socket?.close(name)
  }

  closed(code: number): void {
    const { fanout, presence, connections, guard, logger } = this.services
    if (!this.#socket) return
    this.#socket = undefined
    this.#outbound?.closed()
    this.#outbound = undefined
    connections.delete(this)
    guard.closed(this.identity.address)
    fanout.left(this)
    if (this.#watched) this.unwatch([...this.#watched])
    presence.disconnected(this.userId)
    logger.debug({ connection_id: this.identity.connectionId, code }, 'connection closed')
  }

  /** Who goes on after many refusals does not read them. */
  #slowDown(retryAfterMs: number, { ref, id }: { ref?: Ref | undefined; id?: string | undefined }): void {
    this.#rateRefusals += 1
    if (this.#rateRefusals > MAX_RATE_REFUSALS) return this.close('rate_limited')
    this.refuse({ code: 'rate_limited', retryAfterMs, ...(ref !== undefined && { ref }), ...(id && { id }) })
  }

  #replaceOldest(): void {
    const { users, limits } = this.services
    const mine = users.of(this.userId)
    const oldest = mine[0]
    if (mine.length > limits.maxConnectionsPerUser && oldest instanceof Connection) oldest.close('replaced')
  }
}
