// What may be acknowledged: never anything beyond the first message that is not kept.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ConversationLog } from '../../../src/client/conversation-log.ts'
import { pageReceived, received } from '../../../src/client/inbox.ts'
import type { Message } from '../../../src/protocol/message.ts'

const LENGTH = 30
const message = (seq: number): Message => ({
  ...{ id: String(seq), seq, content: '', created_at: '' },
  ...(seq % 5 === 0 ? { sender_id: 'ben', receiver_id: 'amy' } : { sender_id: 'amy', receiver_id: 'ben' }),
})
const between = (first: number, last: number): Message[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => message(first + index))

const seq = fc.integer({ min: 1, max: LENGTH })
const act = fc.oneof(
  ...[
    fc.record({ kind: fc.constantFrom('push', 'sent', 'read', 'other') }),
    fc.record({ kind: fc.constant('kept') }),
  ].map((one) => fc.tuple(one, seq)),
  fc.tuple(fc.record({ kind: fc.constantFrom('after', 'before', 'newest', 'placed', 'acked') }), seq),
)

/** A device, its disk, and what the server knows of it. */
class Device {
  readonly log = new ConversationLog('amy', () => 'ben')
  readonly kept = new Set<number>()
  /** Received by this person, on whichever device, as the server has said. */
  known = 0
  #unkept: number[] = []

  run(kind: string, n: number): void {
    const { log } = this
    if (kind === 'push' || kind === 'sent') this.#take(received(log.inbox, message(n)), kind === 'push' || n === 1)
    else if (kind === 'after')
      this.#page({ after: n, limit: 7 }, between(n + 1, Math.min(LENGTH, n + 7)), n + 7 < LENGTH)
    else if (kind === 'before') this.#page({ before: n, limit: 7 }, between(Math.max(1, n - 7), n - 1), n > 8)
    else if (kind === 'newest') this.#page({ limit: 7 }, between(LENGTH - 6, LENGTH), true)
    else if (kind === 'placed') {
      log.place({ delivered_seq: this.known, read_seq: 0, peer_delivered_seq: 0, peer_read_seq: 0 })
    } else if (kind === 'other') {
      this.known = Math.max(this.known, n)
      log.move({ delivered_seq: this.known, read_seq: 0 })
    } else if (kind === 'read') {
      const to = Math.min(n, log.readable())
      if (log.isPlaced && to > log.positions.read_seq) log.read(to)
    } else if (kind === 'acked') {
      this.known = Math.max(this.known, log.ackable())
      log.move({ delivered_seq: log.ackable() })
    } else {
      for (const one of this.#unkept) this.kept.add(one)
      this.#unkept = []
      log.savedRanges = log.inbox.ranges
    }
  }

  #page(question: { after?: number; before?: number; limit: number }, messages: Message[], hasMore: boolean): void {
    this.#take(pageReceived(this.log.inbox, question, { messages, hasMore }), false)
  }

  #take(applied: ReturnType<typeof received<Message>>, isNews: boolean): void {
    this.log.take(applied, isNews)
    this.#unkept.push(...applied.applied.map((one) => one.seq))
  }
}

/** What this device says too much of. An assertion for each message would take far longer than what is tested. */
function violation({ log, kept, known }: Device): string | undefined {
  for (const said of [log.ackable(), log.keptTo()])
    for (let one = known + 1; one <= said; one += 1) if (!kept.has(one)) return `${said} is said, ${one} is not kept`
  if (!log.isPlaced) return undefined
  // A person can have read no further than that either: what lies behind a hole is read when the hole is filled.
  for (let one = known + 1; one <= log.readable(); one += 1)
    if (!log.inbox.ranges.some(([first, last]) => first <= one && one <= last))
      return `${log.readable()} can be read, ${one} is not there`
  return undefined
}

test('an acknowledgement goes no further than what is kept without a gap, whatever comes in whichever order', () => {
  let acked = 0
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const device = new Device()
      for (const [{ kind }, n] of acts) {
        device.run(kind, n)
        const wrong = violation(device)
        if (wrong) expect.fail(wrong)
        acked = Math.max(acked, device.log.ackable())
      }
    }),
    { seed: 19_051, numRuns: 3000 },
  )
  expect(acked).toBe(LENGTH)
})
