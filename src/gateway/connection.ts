import type { EncodedEvent } from '../delivery/encoded.ts'
import { type MessagePlace, otherOf, type Recipient } from '../delivery/recipient.ts'
import { Replay, type ReplayTarget } from '../delivery/replay.ts'
import { encodedTopic, presenceTopic, typingTopic } from '../delivery/topics.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import { type CloseName, DEFAULT_RETRY_AFTER_MS, ERRORS } from '../protocol/codes.ts'
import { parseCommand, type Ref, type Refusal } from '../protocol/commands.ts'
import type { ServerEvent } from '../protocol/events.ts'
import { MAX_FRAME_BYTES, MAX_WATCHED } from '../protocol/limits.ts'
import type { Message, UserId } from '../protocol/message.ts'
import type { Client, ClientIdentity, ConnectionServices } from './client.ts'
import { runCommand } from './command-table.ts'
import { presenceEvent } from './presence-event.ts'
import type { Socket, SocketListener } from './socket.ts'

/** How long after a replay a push may still arrive that a page already held: longer than a commit takes to be announced. */
const REPEATS_EXPECTED_MS = 10_000

/** Refusals for speed that one connection gets before it is closed: a few full windows of sends. */
const MAX_RATE_REFUSALS = 1000

/**
 * One client: decodes its frames into commands, runs them in order, and writes what concerns it.
 *
 * States: catching up (from `opened`) → live ⇄ lagging → closed. While catching up or lagging `#replay` is set and messages
 * reach the socket from the store only.
 */
export class Connection implements SocketListener, Recipient, ReplayTarget, Client {
  readonly identity: ClientIdentity
  readonly services: ConnectionServices
  /** Sends that wait for their outcome. */
  sendsInFlight = 0
  moving: Promise<unknown> | undefined
  #refusals = 0
  #socket: Socket | undefined
  #replay: Replay | undefined
  #replayedTo: Map<UserId, number> | undefined
  /** Sent on this socket while it was being replayed to: a page may hold them before their reply was given. */
  #sentMeanwhile: Set<string> | undefined
  #unacked: Map<UserId, number> | undefined
  #watched: Set<UserId> | undefined
  #waitingForRoom: (() => void) | undefined

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

  opened(socket: Socket): void {
    const { fanout, presence, connections, guard, limits, clock } = this.services
    this.#socket = socket
    connections.add(this)
    guard.opened(this.identity.address)
    // Registered before the backlog is read: what is committed from here on is noted, so nothing falls in between.
    this.#replay = new Replay(this.services.pages, this)
    const joined = fanout.joined(this)
    presence.connected(this.userId)
    socket.subscribe(encodedTopic(typingTopic(this.userId), this.identity.codec))
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
    void this.#catchUp(this.#replay, joined)
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

  async watch(userIds: readonly UserId[]): Promise<void> {
    this.#watched ??= new Set()
    const watched = this.#watched
    const added = [...new Set(userIds)].filter((userId) => !watched.has(userId))
    if (watched.size + added.length > MAX_WATCHED) {
      const message = `One connection can watch ${MAX_WATCHED} users.`
      return this.refuse({ code: 'invalid_request', message, field: 'user_ids' })
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

  sending(id: string): void {
    if (!this.#replay) return
    this.#sentMeanwhile ??= new Set()
    this.#sentMeanwhile.add(id)
  }

  reply(event: ServerEvent): void {
    this.#socket?.send(this.identity.codec.encode(event))
  }

  refuse({ code, message, field, ref, id, retryAfterMs }: Refusal): void {
    const { temporary, message: meaning } = ERRORS[code]
    const retry_after_ms = temporary ? (retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) : undefined
    this.reply({ type: 'error', ref, code, message: message ?? meaning, field, retry_after_ms, id })
  }

  /** The outcome of one of this connection's sends. */
  settled({ refusal, fate, ref, id, seq, receiver_id, created_at }: QueuedSend): void {
    this.sendsInFlight -= 1
    if (refusal) return this.refuse({ code: refusal, id, ...(ref !== undefined && { ref }) })
    if (fate === 'conflict') return this.refuse({ code: 'id_conflict', id, ...(ref !== undefined && { ref }) })
    this.reply({ type: 'sent', ref, id, seq, with: receiver_id, created_at, duplicate: fate === 'duplicate' })
  }

  message(message: MessagePlace, encoded: EncodedEvent): void {
    const socket = this.#socket
    if (!socket) return
    if (this.#replay) return this.#replay.owe(otherOf(message, this.userId), message.seq)
    if (message.seq <= (this.#replayedTo?.get(otherOf(message, this.userId)) ?? 0)) return
    if (socket.bufferedBytes > this.services.limits.maxBackpressureBytes) return this.dropped(message)
    this.#write(socket, message, encoded.frame(this.identity.codec))
  }

  replayed(message: Message): void {
    if (!this.#socket || this.#sentMeanwhile?.has(message.id)) return
    this.#write(this.#socket, message, this.identity.codec.encode({ type: 'message', ...message }))
  }

  event(encoded: EncodedEvent): void {
    const socket = this.#socket
    if (!socket || socket.bufferedBytes > this.services.limits.maxBackpressureBytes) return
    socket.send(encoded.frame(this.identity.codec))
  }

  /** A live message could not be written: it is owed from here on, and so is everything after it. */
  dropped(message: MessagePlace | undefined): void {
    // A reply can not be replayed: a client that asks without reading the answers has to start over.
    if (!message) return this.close('slow_consumer')
    const other = otherOf(message, this.userId)
    // It was noted when it was handed to the socket; what did not leave must not count as received.
    if ((this.#unacked?.get(other) ?? 0) >= message.seq) this.#unacked?.set(other, message.seq - 1)
    if (this.#replay) return this.#replay.lost(other, message.seq)
    this.reply({ type: 'lagging', with: other })
    this.owe(other, message.seq)
  }

  owe(other: UserId, fromSeq: number): void {
    if (!this.#socket) return
    if (this.#replay) return this.#replay.owe(other, fromSeq)
    this.#replay = new Replay(this.services.pages, this)
    this.#replay.owe(other, fromSeq)
    void this.#recover(this.#replay)
  }

  flushed(): void {
    this.#waitingForRoom?.()
    this.#acknowledgeWritten()
  }

  async room(): Promise<void> {
    const socket = this.#socket
    if (!socket || socket.bufferedBytes === 0) return
    const { clock, limits } = this.services
    let heldUpBytes = socket.bufferedBytes
    let cancel = (): void => undefined
    const watch = (): void => {
      cancel = clock.after(limits.laggingTimeoutMs, () => {
        // A slow reader may take its time; one that reads nothing may not.
        if (socket.bufferedBytes >= heldUpBytes) return this.close('slow_consumer')
        heldUpBytes = socket.bufferedBytes
        watch()
      })
    }
    watch()
    await new Promise<void>((resolve) => {
      this.#waitingForRoom = resolve
    })
    this.#waitingForRoom = undefined
    cancel()
  }

  close(name: CloseName): void {
    this.#socket?.close(name)
  }

  closed(code: number): void {
    const { fanout, presence, connections, guard, logger } = this.services
    if (!this.#socket) return
    this.#socket = undefined
    this.#replay = undefined
    this.#replayedTo = undefined
    this.#waitingForRoom?.()
    connections.delete(this)
    guard.closed(this.identity.address)
    fanout.left(this)
    if (this.#watched) this.unwatch([...this.#watched])
    presence.disconnected(this.userId)
    logger.debug({ connection_id: this.identity.connectionId, code }, 'connection closed')
  }

  upToDate(sentTo: Map<UserId, number>): void {
    this.#replay = undefined
    this.#sentMeanwhile = undefined
    this.#replayedTo = sentTo
    this.services.clock.after(REPEATS_EXPECTED_MS, () => {
      if (this.#replayedTo === sentTo) this.#replayedTo = undefined
    })
  }

  async #catchUp(replay: Replay, joined: Promise<void>): Promise<void> {
    try {
      await joined
      // What another connection of this user acknowledged just before is not to come again.
      await this.services.messages.flushed()
      await replay.oweBacklog()
      await replay.run()
      this.reply({ type: 'synced', server_time: new Date(this.services.clock.now()).toISOString() })
    } catch (error) {
      this.#failed(error)
    }
  }

  async #recover(replay: Replay): Promise<void> {
    try {
      await replay.run()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** An empty answer would be a lie: the client resumes with a new connection. */
  #failed(error: unknown): void {
    this.services.logger.warn({ err: error, connection_id: this.identity.connectionId }, 'a replay failed')
    this.close('internal')
  }

  #write(socket: Socket, message: MessagePlace, frame: string | Uint8Array): void {
    socket.send(frame, message)
    if (!this.identity.implicit) return
    this.#unacked ??= new Map()
    const other = otherOf(message, this.userId)
    this.#unacked.set(other, Math.max(message.seq, this.#unacked.get(other) ?? 0))
  }

  /** For a client without a subprotocol: what has left this process counts as acknowledged. */
  #acknowledgeWritten(): void {
    const written = this.#unacked
    if (!written || written.size === 0) return
    this.#unacked = undefined
    for (const [other, seq] of written) {
      if (seq === 0) continue
      void this.services.messages
        .move(this.userId, { type: 'ack', with: other, seq }, this)
        .catch((error: unknown) => this.services.logger.warn({ err: error }, 'an implicit acknowledgement was lost'))
    }
  }

  /** Who goes on after many refusals does not read them. */
  #slowDown(retryAfterMs: number, { ref, id }: { ref?: Ref | undefined; id?: string | undefined }): void {
    this.#refusals += 1
    if (this.#refusals > MAX_RATE_REFUSALS) return this.close('rate_limited')
    this.refuse({ code: 'rate_limited', retryAfterMs, ...(ref !== undefined && { ref }), ...(id && { id }) })
  }

  #replaceOldest(): void {
    const { users, limits } = this.services
    const mine = users.of(this.userId)
    const oldest = mine[0]
    if (mine.length > limits.maxConnectionsPerUser && oldest instanceof Connection) oldest.close('replaced')
  }
}
