// What is said of messages, and when it counts as heard.
import { expect, test } from 'vitest'
import { Acks } from '../../../src/client/acks.ts'
import { ConversationLog } from '../../../src/client/conversation-log.ts'
import type { Core } from '../../../src/client/core.ts'
import { VirtualClock } from '../../../src/client/testing/virtual-clock.ts'
import { NO_POSITIONS } from '../../../src/client/ticks.ts'

function acking() {
  const log = new ConversationLog('amy', () => 'ben')
  log.place(NO_POSITIONS)
  const sent: object[] = []
  const line = { isOpen: true }
  const acks = new Acks({
    clock: new VirtualClock(),
    link: { send: (frame: object) => line.isOpen && sent.push(frame) > 0 },
    logs: { all: () => [log], changed: () => undefined },
  } as unknown as Core)
  const keep = (seq: number): void => {
    log.savedRanges = [[1, seq]]
    acks.kept(log, 1)
    acks.flush()
  }
  return { log, acks, sent, line, keep }
}

test('an answer confirms what was said before its question, not what was said since', () => {
  const { acks, sent, keep } = acking()
  keep(1)
  const said = acks.said()
  keep(2)
  acks.confirmed(said)
  acks.again()
  expect(sent.slice(2)).toEqual([{ type: 'ack', with: 'amy', seq: 2, ref: 'at amy' }])
  acks.confirmed(acks.said())
  acks.again()
  expect(sent).toHaveLength(3)
})

test('nor does it confirm a position that was read since, though more than that was acknowledged before', () => {
  const { log, acks, sent, keep } = acking()
  keep(2)
  const said = acks.said()
  log.read(1)
  log.savedReading = 1
  acks.read(log)
  acks.flush()
  acks.confirmed(said)
  acks.again()
  const read = { type: 'read', with: 'amy', seq: 1, ref: 'at amy' }
  expect(sent.slice(1)).toEqual([read, read])
  acks.confirmed(acks.said())
  expect(log.reading).toBe(0)
})

test('without a connection it stays due, and nothing has moved', () => {
  const { log, acks, sent, line, keep } = acking()
  line.isOpen = false
  keep(1)
  expect([log.positions.delivered_seq, acks.said().size]).toEqual([0, 0])
  line.isOpen = true
  acks.flush()
  expect(sent).toEqual([{ type: 'ack', with: 'amy', seq: 1, ref: 'at amy' }])
  expect(log.positions.delivered_seq).toBe(1)
})

test('an answer confirms nothing that was refused since its question', () => {
  const { log, acks, sent, keep } = acking()
  keep(1)
  const said = acks.said()
  log.refusals += 1
  acks.confirmed(said)
  acks.again()
  expect(sent).toHaveLength(2)
})

test('thirty-two messages are said at once, and then the count begins anew', () => {
  const { log, acks, sent } = acking()
  const kept = (to: number, messages: number): void => {
    log.savedRanges = [[1, to]]
    acks.kept(log, messages)
  }
  kept(31, 31)
  expect(sent).toHaveLength(0)
  kept(32, 1)
  expect(sent).toMatchObject([{ type: 'ack', seq: 32 }])
  kept(63, 31)
  expect(sent).toHaveLength(1)
  kept(64, 1)
  expect(sent.slice(1)).toMatchObject([{ type: 'ack', seq: 64 }])
})
