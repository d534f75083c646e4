import { type EncodedEvent, messagePush } from '../delivery/encoded.ts'
import type { KnownOfHole, MessagePlace } from '../delivery/recipient.ts'
import { Replay, type ReplayTarget } from '../delivery/replay.ts'
import type { StoredPages } from '../delivery/stored-pages.ts'
import { WrittenRanges } from '../delivery/written-ranges.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { addressOf } from '../messages/conversation.ts'
import type { Epoch } from '../messages/epoch.ts'
import type { MessageService } from '../messages/service.ts'
import type { Frame } from '../protocol/encoding.ts'
import type { ServerEvent } from '../protocol/events.ts'
import type { Message, UserId } from '../protocol/message.ts'
import type { Caller, CallerIdentity } from './caller.ts'
import { ImplicitAcks } from './implicit-acks.ts'
import { OwnSends } from './own-sends.ts'
import type { ServerTime } from './server-time.ts'
import { SlowReader } from './slow-reader.ts'
import type { Socket } from './socket.ts'

export interface OutboundServices {
  readonly pages: StoredPages
  readonly messages: Pick<MessageService, 'allSettled' | 'advanceStored' | 'sawStored'>
  readonly epoch: Pick<Epoch, 'current'>
  readonly clock: Clock
  readonly serverTime: ServerTime
  readonly logger: Logger
  readonly limits: {
    /** Bytes waiting for a slow reader beyond which it lags. */
    readonly maxBackpressureBytes: number
    /** How long a reader may lag without reading before it is closed; milliseconds. */
    readonly laggingTimeoutMs: number
  }
}

/**
 * How long after a replay a push may still arrive that a page already held, or healing ask for it: longer than a commit takes
 * to be announced, and than healing takes to look again.
 */
const REPEATS_EXPECTED_MS = 10_000

/**
 * What one connection is told. No durable message is lost here: one that cannot be written is brought by a replay from the
 * store. While a replay is under way, messages reach the socket through it alone.
 *
 * One conversation at one connection; its user acknowledged 5 and lacks 6 and 7:
 *
 *   state           known                a push of 6 or 7 is    becomes
 *   catching up     6, 7 to be brought   noted, also to bring   replayed when the page that begins at 6 is written
 *   replayed        6–7 written          a repeat, ignored      live after ten seconds without a further replay
 *   live            nothing              written                lagging when the socket drops 6, or is full of what waits
 *                                                               for its reader, or somebody finds that 6 was not pushed
 *   lagging         6, 7 to be brought   noted, also to bring   replayed, as above; 7 comes again although it was written
 */
export class Outbound implements ReplayTarget {
  readonly #caller: Caller
  readonly #identity: CallerIdentity
  readonly #services: OutboundServices
  readonly #socket: Socket
  readonly #reader: SlowReader
  readonly #ownSends = new OwnSends()
  readonly #acks: ImplicitAcks | undefined
  /** Known to be written here, or told by the reply to its send, until ten seconds after the last replay. */
  readonly #written = new WrittenRanges()
  #cancelForgetting: (() => void) | undefined
  #replay: Replay | undefined
  /** Until the replay with which it begins has ended. */
  #isCatchingUp = true
  /** When the backlog was looked up, by the store's clock, until `synced` is said. */
  #backlogAsOfMs: number | undefined
  #isOpen = true

  constructor(caller: Caller, socket: Socket, services: OutboundServices) {
    const { pages, clock, limits } = services
    this.#caller = caller
    this.#identity = caller.identity
    this.#services = services
    this.#socket = socket
    this.#reader = new SlowReader({ socket, clock, ...limits })
    this.#acks = this.#identity.implicit
      ? new ImplicitAcks((peer, seq) => this.#acknowledge(caller, peer, seq))
      : undefined
    // From the first moment: what is committed from here on is noted, so nothing falls between the backlog and live pushes.
    this.#replay = new Replay(pages, this, this.#written)
    this.#ownSends.replayBegins()
  }

  get userId(): UserId {
    return this.#identity.userId
  }
  get isOpen(): boolean {
    return this.#isOpen
  }
  get keepsAll(): boolean {
    return this.#socket.keepsAll
  }

  /** Replays what the user has not acknowledged, once pushes arrive, then says `synced`. */
  async catchUp(joined: Promise<void>): Promise<void> {
    const replay = this.#replay
    try {
      await joined
      // What another connection of this user acknowledged just before is not to come again.
      await this.#services.messages.allSettled()
      this.#backlogAsOfMs = await replay?.bringBacklog()
      await replay?.run()
    } catch (error) {
      this.#failed(error)
    }
  }

  send(event: ServerEvent): void {
    if (this.#isOpen) this.#socket.send(this.#identity.codec.encode(event))
  }

  /** A send with this id to that person is on its way; `answered` follows. */
  sending(peer: UserId, id: string): void {
    this.#ownSends.sending(peer, id)
  }

  answered(peer: UserId, id: string, isStored: boolean): void {
    const untold = this.#ownSends.answered(peer, id, isStored)
    if (untold) this.#bringAgain(untold)
  }

  message(message: MessagePlace, encoded: EncodedEvent): void {
    if (!this.#isOpen) return
    const peer = addressOf(message, this.userId)
    if (this.#replay) return this.#replay.bring(peer, message.seq, message.seq)
    if (this.#written.has(peer, message.seq)) return
    // What came broken from another instance is read from the store.
    const frame = this.#reader.isBackedUp ? undefined : encoded.soundFrame(this.#identity.codec)
    if (frame === undefined) return this.dropped(message)
    this.#write(peer, message, frame)
  }

  event(encoded: EncodedEvent): void {
    const frame = this.#isOpen && !this.#reader.isBackedUp ? encoded.soundFrame(this.#identity.codec) : undefined
    if (frame !== undefined) this.#socket.offer(frame)
  }

  /** Before the page is written: a client may acknowledge it in the same turn. */
  willReplayUpTo(last: Message): void {
    // Read before it closed, perhaps in a line of history that has ended since.
    if (this.#isOpen) this.#services.messages.sawStored(last)
  }

  replayed(message: Message): void {
    if (!this.#isOpen) return
    const peer = addressOf(message, this.userId)
    if (this.#ownSends.leavesOut(peer, message.id, message)) return
    this.#write(peer, message, this.#identity.codec.encode(messagePush(message)))
  }

  /** A message could not be written: it is brought by a replay, and so is everything after it. */
  dropped(message: MessagePlace | undefined): void {
    if (!this.#isOpen) return
    // A reply cannot be replayed: a client that asks without reading the answers has to start over.
    if (!message) return this.#socket.close('slow_consumer')
    const peer = addressOf(message, this.userId)
    this.#acks?.dropped(peer, message.seq)
    if (!this.#replay) this.#socket.offer(this.#identity.codec.encode({ type: 'lagging', with: peer }))
    this.#bringAgain(message)
  }

  mayLackBelow(peer: UserId): void {
    // A message that is written here counts as acknowledged, and with it all below: that has to be written before.
    if (this.#isOpen && this.#acks) this.#replayWith((replay) => replay.bringUnacknowledged(peer))
  }

  replayFrom(peer: UserId, fromSeq: number, known?: KnownOfHole): void {
    if (!this.#isOpen) return
    const wroteAll = this.#wroteAllPushed(peer)
    // First, as of two ranges apart only the higher is kept.
    const from = this.#written.firstMissing(peer, fromSeq)
    if (wroteAll && known) {
      if (known.pushed) this.#written.add(peer, known.pushed.from, known.pushed.to)
      if (this.#written.firstMissing(peer, from) > known.head) return this.#forgetWrittenLater()
    }
    this.#replayWith((replay) => replay.bring(peer, from))
    if (wroteAll) for (const seq of known?.late ?? []) this.#written.addOutOfOrder(peer, seq)
    for (const { seq, asker } of known?.replied ?? []) {
      if (asker === this.#caller) this.#written.addOutOfOrder(peer, seq)
    }
  }

  /** While it is catching up, or has something of a conversation to bring, what is pushed of that is noted and not written. */
  #wroteAllPushed(peer: UserId): boolean {
    return !this.#replay || (!this.#isCatchingUp && !this.#replay.isAbout(peer))
  }

  upToDate(): void {
    this.#replay = undefined
    this.#isCatchingUp = false
    this.#ownSends.replayEnds()
    this.#forgetWrittenLater()
    this.#saySynced()
  }

  /** Everything written so far has left this process. */
  emptied(): void {
    this.#reader.emptied()
    this.#acks?.emptied()
  }

  room(): Promise<void> {
    return this.#reader.room()
  }

  closed(): void {
    this.#isOpen = false
    this.#replay = undefined
    this.#cancelForgetting?.()
    this.#reader.emptied()
  }

  /** Once, when what the backlog held is written. */
  #saySynced(): void {
    const { epoch, serverTime } = this.#services
    if (this.#backlogAsOfMs === undefined) return
    this.send({ type: 'synced', server_time: serverTime.asOf(this.#backlogAsOfMs), epoch: epoch.current })
    this.#backlogAsOfMs = undefined
  }

  /** It and everything behind it, also what was written before. */
  #bringAgain(message: MessagePlace): void {
    const peer = addressOf(message, this.userId)
    this.#written.forgetFrom(peer, message.seq)
    if (this.#replay) this.#replay.bring(peer, message.seq, message.seq)
    else this.replayFrom(peer, message.seq)
  }

  /** In the replay under way, or in one that begins with it. */
  #replayWith(note: (replay: Replay) => void): void {
    if (this.#replay) return note(this.#replay)
    const replay = new Replay(this.#services.pages, this, this.#written)
    this.#cancelForgetting?.()
    this.#cancelForgetting = undefined
    this.#replay = replay
    this.#ownSends.replayBegins()
    note(replay)
    replay.run().catch((error: unknown) => this.#failed(error))
  }

  #forgetWrittenLater(): void {
    if (this.#replay || this.#written.isEmpty || this.#cancelForgetting) return
    this.#cancelForgetting = this.#services.clock.after(REPEATS_EXPECTED_MS, () => {
      this.#cancelForgetting = undefined
      this.#written.clear()
    })
  }

  #write(peer: UserId, message: MessagePlace, frame: Frame): void {
    this.#socket.send(frame, message)
    this.#acks?.written(peer, message.seq)
  }

  #acknowledge(caller: Caller, peer: UserId, seq: number): void {
    const { messages, logger } = this.#services
    const code = messages.advanceStored(this.userId, { type: 'ack', with: peer, seq }, caller)
    if (code) logger.warn({ code, connection_id: this.#identity.connectionId }, 'an implicit acknowledgement was lost')
  }

  /** An empty answer would be a lie: the client resumes with a new connection. */
  #failed(error: unknown): void {
    const { logger } = this.#services
    logger.warn({ err: error, connection_id: this.#identity.connectionId }, 'a replay failed')
    if (this.#isOpen) this.#socket.close('internal')
  }
}
