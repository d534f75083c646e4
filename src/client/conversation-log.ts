import { MAX_UNREAD_COUNT } from '../protocol/limits.ts'
import type { ConversationSummary, Message, Positions, UserId } from '../protocol/message.ts'
import { type Applied, emptyInbox, headOf, type Inbox } from './inbox.ts'
import { contiguousFrom, type Range, withoutSeq } from './ranges.ts'
import type { KeptConversation } from './storage.ts'
import { moved, NO_POSITIONS } from './ticks.ts'
import { isMessage } from './wire.ts'

/** Messages of a conversation that nobody looks at which stay in memory. */
const IDLE_WINDOW = 50
/** Messages that are shown at first. */
export const SCREEN = 50

/** What a client knows of one conversation: numbers, positions, and the newest messages themselves. */
export class ConversationLog {
  readonly with: UserId
  readonly #me: () => UserId
  declare inbox: Inbox<Message>
  declare positions: Positions
  /** Whether the server has said the positions: only then is it known where acknowledging begins. */
  declare isPlaced: boolean
  /** How often something of it was refused, or its line was left: what was said before that is not confirmed by an answer. */
  refusals = 0
  /** Another number whenever what is here turns out to be of another line of history, or may be: an answer from before is void. */
  line = 0
  /** False after the server's line changed, until it is known whether this conversation is still the same. */
  declare isVerified: boolean
  /** The newest messages, without a gap, up to the head. */
  declare items: Message[]
  declare lastMessage: Message | undefined
  declare unread: number
  declare counted: number
  /** The server knows, or what is kept shows, that everything up to here was received. */
  #base = 0
  /** Up to here the person has seen it; read when they look, and nothing below is missing. */
  declare seen: number
  /** A position that was read and is not yet written to a connection, or may have been lost with one. */
  declare reading: number
  /** Up to here messages were told to the listeners of this client, in their order. */
  declare told: number | undefined
  declare isTelling: boolean
  /** What the storage holds. */
  declare savedRanges: readonly Range[]
  declare savedReading: number
  isChanged = false
  /** Somebody watches its messages. */
  isOpen = false
  /** Somebody has asked for its messages: they are fetched, also when other devices have them already. */
  isUsed = false

  constructor(other: UserId, me: () => UserId) {
    this.with = other
    this.#me = me
    this.reset()
    this.isChanged = false
  }

  get head(): number {
    return headOf(this.inbox)
  }

  get lastSeq(): number {
    return Math.max(this.head, this.inbox.top)
  }

  /** Throws when the row is none: of another program, or of a disk that fails. `epoch`: of the client's last connection. */
  restore(kept: KeptConversation, epoch: string): void {
    const { ranges, positions, last_message } = kept
    const isWhole = Array.isArray(ranges) && typeof positions === 'object' && (!last_message || isMessage(last_message))
    if (!isWhole) throw new TypeError('not a conversation')
    this.inbox = { ...emptyInbox(ranges), top: kept.last_seq }
    this.savedRanges = ranges
    this.positions = positions
    this.isPlaced = kept.isPlaced
    this.lastMessage = last_message
    this.unread = kept.unread
    this.counted = kept.counted
    this.savedReading = this.reading = kept.reading
    // Another tab may have read further than the one that wrote the row; the server need not know of it.
    this.move({ read_seq: kept.reading })
    this.#base = positions.delivered_seq
    this.told = kept.told
    // Kept before the line was another one, and not compared with it since.
    if (kept.epoch !== epoch) this.doubt()
  }

  kept(epoch: string): KeptConversation {
    return {
      with: this.with,
      epoch,
      ranges: this.inbox.ranges,
      positions: this.positions,
      isPlaced: this.isPlaced,
      last_seq: this.lastSeq,
      last_message: this.lastMessage,
      unread: this.unread,
      counted: this.counted,
      told: this.told,
      reading: this.reading,
    }
  }

  /**
   * Takes what an inbox step gave. `isNews`: the server has sent it unasked, so whatever lies below was received before, by
   * this or another device, or nothing lies below; of a page that is not known, nor after a reset, before which some of it came.
   */
  take({ inbox, applied }: Applied<Message>, isNews: boolean): void {
    const wasEmpty = this.inbox.ranges.length === 0
    this.inbox = inbox
    const first = applied[0]
    if (!first) return
    this.isChanged = true
    if (this.isPlaced) this.told ??= this.positions.delivered_seq
    else if (wasEmpty && isNews && this.line === 1) this.told ??= first.seq - 1
    for (const message of applied) this.#place(message)
    const last = applied.at(-1)
    if (!last || last.seq < (this.lastMessage?.seq ?? 0)) return
    // By what is new alone: older messages were asked for.
    this.#trim()
    if (last.id) this.lastMessage = last
  }

  #place(message: Message): void {
    const { seq } = message
    const last = this.items.at(-1)
    if (seq > (last?.seq ?? 0)) {
      // A jump: the newest page has come before what lies between.
      if (last && seq > last.seq + 1) this.items = []
      this.items.push(message)
    } else this.prepend([message]) // An own one, say, whose reply was lost: it must not vanish.
    if (seq <= this.counted) return
    this.counted = seq
    const isTheirs = message.sender_id !== this.#me() && message.id !== ''
    if (isTheirs && seq > this.positions.read_seq) this.unread = Math.min(MAX_UNREAD_COUNT, this.unread + 1)
    // The server moves the sender's own position along, if it stood right before.
    if (!isTheirs && this.isPlaced && this.positions.delivered_seq === seq - 1)
      this.positions = moved(this.positions, { delivered_seq: seq })
  }

  #trim(): void {
    if (!this.isOpen && this.items.length > 2 * IDLE_WINDOW) this.items = this.items.slice(-IDLE_WINDOW)
  }

  /** Older messages, ascending, that end right below the window; others are not shown. */
  prepend(older: readonly Message[]): void {
    const first = this.items[0]
    const last = older.at(-1)
    if (last && (!first || last.seq === first.seq - 1)) this.items = [...older, ...this.items]
  }

  /** How far everything has come, counted from what this person's devices have acknowledged, and is kept. */
  ackable(): number {
    if (!this.isVerified) return 0
    if (!this.isPlaced && (this.told === undefined || this.savedRanges[0]?.[0] !== 1)) return 0
    return contiguousFrom(this.savedRanges, this.#base)
  }

  /** What may be acknowledged once more: a position that was read moves at once, before what it speaks of is kept. */
  keptTo(): number {
    if (!this.isVerified) return 0
    const kept = contiguousFrom(this.savedRanges, this.#base)
    return Math.min(this.positions.delivered_seq, kept, this.savedRanges.at(-1)?.[1] ?? 0)
  }

  /** Whether something else is here under the same number: then one of the two is of another line of history. */
  isOther({ seq, id }: Message): boolean {
    const known = this.items[seq - (this.items[0]?.seq ?? 0)] ?? this.inbox.held.find((message) => message.seq === seq)
    return known !== undefined && known.id !== id && known.id !== '' && id !== ''
  }

  /** It turns out that this message is not here after all. */
  lack(seq: number): void {
    this.inbox = { ...this.inbox, ranges: withoutSeq(this.inbox.ranges, seq) }
    this.savedRanges = withoutSeq(this.savedRanges, seq)
    this.isChanged = true
  }

  /** How far a person can have read: no further than the first message that is missing here. */
  readable(): number {
    return contiguousFrom(this.inbox.ranges, this.positions.delivered_seq)
  }

  /** Whether messages are here right above those in memory, with room for them on the screen. */
  get isShort(): boolean {
    const [first] = this.items
    return first !== undefined && this.items.length < SCREEN && first.seq > (this.inbox.ranges.at(-1)?.[0] ?? 1)
  }

  /** Messages that are here and were not yet told, in their order; `undefined` when they are only in the storage. */
  untold(): readonly Message[] | undefined {
    const from = this.told ?? 0
    const to = this.told === undefined ? 0 : contiguousFrom(this.inbox.ranges, from)
    if (to <= from) return []
    const first = this.items[0]?.seq
    if (first === undefined || first > from + 1) return undefined
    return this.items.slice(from + 1 - first, to + 1 - first)
  }

  /** The person has read so far. What that speaks of may be kept only later, so nothing is counted from there yet. */
  read(seq: number): void {
    const base = this.#base
    this.reading = seq
    this.move({ read_seq: seq })
    this.#base = base
  }

  move(change: Partial<Positions>): boolean {
    this.#base = Math.max(this.#base, change.delivered_seq ?? 0, change.read_seq ?? 0)
    const next = moved(this.positions, change)
    if (next === this.positions) return false
    const { read_seq } = this.positions
    this.positions = next
    this.isChanged = true
    if (next.read_seq > read_seq) this.#recount()
    return true
  }

  /** Exact where the messages are here; else at most what is left of the number that was known. */
  #recount(): void {
    const { read_seq } = this.positions
    const above = this.items.filter(({ seq, sender_id, id }) => seq > read_seq && sender_id !== this.#me() && id !== '')
    const isWhole = read_seq >= this.lastSeq || (this.items[0]?.seq ?? Number.POSITIVE_INFINITY) <= read_seq + 1
    this.unread = isWhole ? Math.min(MAX_UNREAD_COUNT, above.length) : Math.min(this.unread, this.lastSeq - read_seq)
  }

  /** The server has said how far this person is: what lies above was not received before. */
  place(positions: Positions): void {
    if (!this.isPlaced) this.told ??= positions.delivered_seq
    this.isPlaced = true
    this.isChanged = true
    this.move(positions)
  }

  /** The server's word on this conversation, with the number of unread messages. */
  summarised(summary: ConversationSummary): void {
    this.place(summary)
    if (summary.last_seq < this.counted) return
    if (summary.read_seq >= this.positions.read_seq) this.unread = summary.unread
    this.counted = summary.last_seq
    if (summary.last_message) this.lastMessage = summary.last_message
  }

  /**
   * Its numbers may mean something else now. What waited above the head counts no more, nor do positions: the server may have
   * forgotten them. What was read and is here is said again, once it is known to be the same.
   */
  doubt(): void {
    const { head } = this
    if (head === 0) return this.reset()
    this.line += 1
    this.isTelling = this.isPlaced = this.isVerified = false
    this.reading = Math.min(head, Math.max(this.reading, this.positions.read_seq))
    this.seen = Math.min(this.seen, head)
    this.positions = NO_POSITIONS
    this.#base = 0
    this.inbox = emptyInbox(this.inbox.ranges)
    this.counted = Math.min(this.counted, head)
    if ((this.told ?? 0) > head) this.told = undefined
    if ((this.lastMessage?.seq ?? 0) > head) this.lastMessage = this.items.at(-1)
    this.isChanged = true
  }

  /** It is the same as before. */
  verified(): void {
    this.isVerified = true
    if (this.reading > this.positions.read_seq) this.read(this.reading)
    else this.reading = 0
    this.isChanged = true
  }

  /** Its numbers mean something else now: everything is fetched again, and nothing of it is told again. */
  reset(): void {
    this.line += 1
    this.isTelling = this.isPlaced = false
    this.#base = this.savedReading = this.unread = this.counted = this.seen = this.reading = 0
    this.inbox = emptyInbox()
    this.savedRanges = []
    this.positions = NO_POSITIONS
    this.isVerified = true
    this.items = []
    this.lastMessage = this.told = undefined
    this.isChanged = true
  }
}
