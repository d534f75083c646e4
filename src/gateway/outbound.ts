import type { EncodedEvent } from '../delivery/encoded.ts'
import { type KnownOfHole, type MessagePlace, otherOf } from '../delivery/recipient.ts'
import { Replay, type ReplayTarget } from '../delivery/replay.ts'
import { WrittenRanges } from '../delivery/written-ranges.ts'
import type { Frame } from '../protocol/codec.ts'
import type { ServerEvent } from '../protocol/events.ts'
import type { Message, UserId } from '../protocol/message.ts'
import type { Client, ClientIdentity, ConnectionServices } from './client.ts'
import type { Socket } from './socket.ts'

/**
 * How long after a replay a push may still arrive that a page already held, or healing ask for it: longer than a commit takes
 * to be announced, and than healing takes to look again.
 */
const REPEATS_EXPECTED_MS = 10_000

/** An id names a message in its conversation only. */
const sendKey = (other: UserId, id: string): string => `${id} ${other}`

/**
 * What one connection is told. No durable message is lost here: what can not be written is owed, and replayed from the store.
 *
 * States: catching up (from the start) → live ⇄ lagging → closed. While catching up or lagging `#replay` is set and messages
 * reach the socket from the store only.
 */
export class Outbound implements ReplayTarget {
  readonly #client: Client
  readonly #identity: ClientIdentity
  readonly #services: ConnectionServices
  readonly #socket: Socket
  #isOpen = true
  #replay: Replay | undefined
  /** Known to be written here, for a while after the last replay; while one is under way it is that one's. */
  #written: WrittenRanges | undefined
  #cancelForgetting: (() => void) | undefined
  /**
   * Sent or answered on this socket while it was being replayed to, by conversation and id, and whether the reply was given:
   * a page may hold them before. No replay repeats them as a push.
   */
  #sentMeanwhile: Map<string, boolean> | undefined
  /** What a replay left out for a reply that is still to come. */
  #leftOut: Map<string, MessagePlace> | undefined
  /** Of a client without a subprotocol: written, by conversation, but not known to have left this process. */
  #unacked: Map<UserId, number> | undefined
  #waitingForRoom: (() => void) | undefined

  constructor(client: Client, socket: Socket) {
    this.#client = client
    this.#identity = client.identity
    this.#services = client.services
    this.#socket = socket
    // From the first moment: what is committed from here on is noted, so nothing falls between the backlog and live pushes.
    this.#replay = new Replay(client.services.pages, this)
  }

  get userId(): UserId {
    return this.#identity.userId
  }
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Replays what the user has not acknowledged, once pushes arrive, then says `synced`. */
  async catchUp(joined: Promise<void>): Promise<void> {
    const { messages, clock } = this.#services
    const replay = this.#replay
    try {
      await joined
      // What another connection of this user acknowledged just before is not to come again.
      await messages.flushed()
      await replay?.oweBacklog()
      await replay?.run()
      this.send({ type: 'synced', server_time: new Date(clock.now()).toISOString() })
    } catch (error) {
      this.#failed(error)
    }
  }

  send(event: ServerEvent): void {
    if (this.#isOpen) this.#socket.send(this.#identity.codec.encode(event))
  }

  /** A send with this id to that person is on its way; `answered` follows. */
  sending(other: UserId, id: string): void {
    if (this.#replay) this.#noteSent(sendKey(other, id), false)
  }

  /** A resend may be refused though the message was stored before: a reply that does not tell of it leaves it owed. */
  answered(other: UserId, id: string, isStored: boolean): void {
    if (!this.#replay && !this.#leftOut) return
    const key = sendKey(other, id)
    if (!isStored) this.#sentMeanwhile?.delete(key)
    else if (this.#replay) this.#noteSent(key, true)
    const leftOut = this.#leftOut?.get(key)
    this.#leftOut?.delete(key)
    if (leftOut && !isStored) this.#lost(leftOut)
  }

  #noteSent(key: string, isAnswered: boolean): void {
    this.#sentMeanwhile ??= new Map()
    this.#sentMeanwhile.set(key, isAnswered)
  }

  message(message: MessagePlace, encoded: EncodedEvent): void {
    if (!this.#isOpen) return
    if (this.#replay) return this.#replay.owe(otherOf(message, this.userId), message.seq)
    if (this.#written?.has(otherOf(message, this.userId), message.seq)) return
    if (this.#isBackedUp()) return this.dropped(message)
    this.#write(message, encoded.frame(this.#identity.codec))
  }

  event(encoded: EncodedEvent): void {
    if (this.#isOpen && !this.#isBackedUp()) this.#socket.offer(encoded.frame(this.#identity.codec))
  }

  replayed(message: Message): void {
    if (!this.#isOpen) return
    const key = this.#sentMeanwhile && sendKey(otherOf(message, this.userId), message.id)
    const isAnswered = key && this.#sentMeanwhile?.get(key)
    if (!key || isAnswered === undefined) {
      return this.#write(message, this.#identity.codec.encode({ type: 'message', ...message }))
    }
    if (isAnswered) return
    const { seq, sender_id, receiver_id } = message
    this.#leftOut ??= new Map()
    this.#leftOut.set(key, { seq, sender_id, receiver_id })
  }

  /** A message could not be written: it is owed from here on, and so is everything after it. */
  dropped(message: MessagePlace | undefined): void {
    if (!this.#isOpen) return
    // A reply can not be replayed: a client that asks without reading the answers has to start over.
    if (!message) return this.#socket.close('slow_consumer')
    const other = otherOf(message, this.userId)
    // It was noted when it was handed to the socket; what did not leave must not count as received.
    if ((this.#unacked?.get(other) ?? 0) >= message.seq) this.#unacked?.set(other, message.seq - 1)
    if (!this.#replay) this.#socket.offer(this.#identity.codec.encode({ type: 'lagging', with: other }))
    this.#lost(message)
  }

  /** It and whatever follows it is replayed, also what was replayed before. */
  #lost(message: MessagePlace): void {
    const other = otherOf(message, this.userId)
    if (this.#replay) return this.#replay.lost(other, message.seq)
    this.#written?.takeBack(other, message.seq)
    this.owe(other, message.seq)
  }

  unsure(other: UserId): void {
    // A message that is written here counts as acknowledged, and with it all below: that has to be written before.
    if (this.#isOpen && this.#identity.implicit) this.#replayWith((replay) => replay.oweUnacknowledged(other))
  }

  owe(other: UserId, fromSeq: number, known?: KnownOfHole): void {
    if (!this.#isOpen) return
    // What was pushed meanwhile is not written yet, but owed.
    if (this.#replay) return this.#replay.oweFrom(other, fromSeq)
    const written = this.#written ?? new WrittenRanges()
    // First, as of two ranges apart only the higher is kept.
    const from = written.firstMissing(other, fromSeq)
    if (known?.pushed) written.add(other, known.pushed.from, known.pushed.to)
    if (known && written.firstMissing(other, from) > known.head) return
    this.#written = written
    this.#replayWith((replay) => replay.oweFrom(other, from))
  }

  /** In the replay under way, or in one that begins with it. */
  #replayWith(note: (replay: Replay) => void): void {
    if (this.#replay) return note(this.#replay)
    const replay = new Replay(this.#services.pages, this, this.#written)
    this.#forgetWritten()
    this.#replay = replay
    note(replay)
    replay.run().catch((error: unknown) => this.#failed(error))
  }

  upToDate(written: WrittenRanges): void {
    this.#replay = undefined
    this.#sentMeanwhile = undefined
    if (written.isEmpty) return
    this.#written = written
    this.#cancelForgetting = this.#services.clock.after(REPEATS_EXPECTED_MS, () => this.#forgetWritten())
  }

  /** Everything written so far has left this process. */
  flushed(): void {
    this.#waitingForRoom?.()
    this.#acknowledgeWritten()
  }

  async room(): Promise<void> {
    if (this.#socket.bufferedBytes === 0) return
    const cancel = this.#closeWhenStuck(this.#socket.bufferedBytes)
    await new Promise<void>((resolve) => {
      this.#waitingForRoom = resolve
    })
    this.#waitingForRoom = undefined
    cancel()
  }

  closed(): void {
    this.#isOpen = false
    this.#replay = undefined
    this.#leftOut = undefined
    this.#forgetWritten()
    this.#waitingForRoom?.()
  }

  #forgetWritten(): void {
    this.#written = undefined
    this.#cancelForgetting?.()
    this.#cancelForgetting = undefined
  }

  #isBackedUp(): boolean {
    return this.#socket.bufferedBytes > this.#services.limits.maxBackpressureBytes
  }

  /** A slow reader may take its time; one that reads nothing at all may not. */
  #closeWhenStuck(bufferedBytes: number): () => void {
    const { clock, limits } = this.#services
    let cancel = clock.after(limits.laggingTimeoutMs, () => {
      if (this.#socket.bufferedBytes >= bufferedBytes) this.#socket.close('slow_consumer')
      else cancel = this.#closeWhenStuck(this.#socket.bufferedBytes)
    })
    return () => cancel()
  }

  #write(message: MessagePlace, frame: Frame): void {
    this.#socket.send(frame, message)
    if (!this.#identity.implicit) return
    this.#unacked ??= new Map()
    const other = otherOf(message, this.userId)
    this.#unacked.set(other, Math.max(message.seq, this.#unacked.get(other) ?? 0))
  }

  /** For a client without a subprotocol: what has left this process counts as acknowledged. */
  #acknowledgeWritten(): void {
    const written = this.#unacked
    if (!written || written.size === 0) return
    this.#unacked = undefined
    const { messages, logger } = this.#services
    for (const [other, seq] of written) {
      if (seq === 0) continue
      messages
        .move(this.userId, { type: 'ack', with: other, seq }, this.#client)
        .catch((error: unknown) => logger.warn({ err: error }, 'an implicit acknowledgement was lost'))
    }
  }

  /** An empty answer would be a lie: the client resumes with a new connection. */
  #failed(error: unknown): void {
    const { logger } = this.#services
    logger.warn({ err: error, connection_id: this.#identity.connectionId }, 'a replay failed')
    if (this.#isOpen) this.#socket.close('internal')
  }
}
