import { expect, test } from 'vitest'
import { LatencyHistogram, type PackedHistogram, summaryOf } from '../../../bench/lib/histogram.ts'

function packed(...milliseconds: readonly number[]): PackedHistogram {
  const histogram = new LatencyHistogram()
  for (const one of milliseconds) histogram.record(one)
  return histogram.packed()
}

test('what several processes have counted adds up as if one had, and the maximum is exact', () => {
  const all = Array.from({ length: 1000 }, (_, index) => 0.5 + index)
  const parts = [0, 1, 2].map((part) => packed(...all.filter((_, index) => index % 3 === part)))
  const summary = summaryOf(parts)
  expect(summary).toEqual(summaryOf([packed(...all)]))
  expect([summary.count, summary.maxMs]).toEqual([1000, 999.5])
  for (const [name, exact] of [
    ['p50Ms', 499.5],
    ['p90Ms', 899.5],
    ['p99Ms', 989.5],
  ] as const) {
    expect(summary[name]).toBeGreaterThanOrEqual(exact)
    expect(summary[name]).toBeLessThanOrEqual(exact * 1.01)
  }
})

test('nothing is above the maximum, however coarse, and nothing counted is all zeros', () => {
  expect(summaryOf([packed(0.123456789)])).toMatchObject({ count: 1, p50Ms: 0.123456789, maxMs: 0.123456789 })
  expect(summaryOf([packed()])).toEqual({ count: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 })
})

test('what is out of its range is counted', () => {
  expect(summaryOf([packed(0, 100_000)])).toMatchObject({ count: 2, maxMs: 100_000 })
})
