import { describe, expect, test } from 'vitest'
import { OwnSends } from '../../../src/gateway/own-sends.ts'

const place = (seq: number) => ({ seq, sender_id: 'bob', receiver_id: 'ann' })

function replaying(): OwnSends {
  const sends = new OwnSends()
  sends.replayBegins()
  return sends
}

describe('own sends during a replay', () => {
  test('are left out of a page, before and after their reply', () => {
    const sends = replaying()
    sends.sending('ann', 'one')
    expect(sends.leavesOut('ann', 'one', place(1))).toBe(true)
    expect(sends.answered('ann', 'one', true)).toBeUndefined()
    expect(sends.leavesOut('ann', 'one', place(1))).toBe(true)
    expect(sends.leavesOut('cid', 'one', place(1))).toBe(false)
  })

  test('are told of when they were left out for a reply that then tells nothing, also after the replay', () => {
    const sends = replaying()
    sends.sending('ann', 'one')
    sends.leavesOut('ann', 'one', place(7))
    sends.replayEnds()
    expect(sends.answered('ann', 'one', false)).toEqual(place(7))
    expect(sends.answered('ann', 'one', false)).toBeUndefined()
  })

  test('are kept for the last thousand: an earlier one may come again', () => {
    const sends = replaying()
    for (let number = 1; number <= 1100; number += 1) {
      sends.sending('ann', `${number}`)
      sends.answered('ann', `${number}`, true)
    }
    const leftOut = Array.from({ length: 1100 }, (_, index) => sends.leavesOut('ann', `${index + 1}`, place(1)))
    expect(leftOut.indexOf(true)).toBe(76)
    expect(leftOut.lastIndexOf(false)).toBe(75)
  })

  test('are nothing to a replay that begins later', () => {
    const sends = replaying()
    sends.sending('ann', 'one')
    sends.answered('ann', 'one', true)
    sends.replayEnds()
    sends.sending('ann', 'two')
    sends.replayBegins()
    expect(sends.leavesOut('ann', 'one', place(1))).toBe(false)
    expect(sends.leavesOut('ann', 'two', place(2))).toBe(false)
  })
})
