import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isoTime } from '../../../src/lib/iso-time.ts'

const MAX_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

test('writes every millisecond from 1970 on as Date does', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_MS }), fc.integer({ min: 0, max: 200_000_000 }), (ms, later) => {
      // The second is often of the same day, which is remembered.
      for (const time of [ms, Math.min(ms + later, MAX_MS), ms])
        expect(isoTime(time)).toBe(new Date(time).toISOString())
    }),
  )
})

test.each([0, 86_399_999, 86_400_000, Date.UTC(2028, 1, 29), Date.UTC(2026, 11, 31, 23, 59, 59, 999), MAX_MS])(
  'writes the edge %d',
  (ms) => {
    expect(isoTime(ms)).toBe(new Date(ms).toISOString())
  },
)
