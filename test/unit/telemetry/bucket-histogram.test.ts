import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { BucketHistogram, LabelledHistogram } from '../../../src/telemetry/bucket-histogram.ts'

test('buckets count what is at or below their bound, and the last one everything', async () => {
  const registry = new Registry()
  const histogram = new BucketHistogram(registry, 'size', 'A size', [1, 2])
  for (const value of [1, 2, 3]) histogram.observe(value)
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('size'))
  expect(lines).toEqual([
    'size_bucket{le="1"} 1',
    'size_bucket{le="2"} 2',
    'size_bucket{le="+Inf"} 3',
    'size_sum 6',
    'size_count 3',
  ])
})

test('nothing observed is zero everywhere', async () => {
  const registry = new Registry()
  new BucketHistogram(registry, 'size', 'A size', [1])
  const text = await registry.metrics()
  expect(text).toContain('# TYPE size histogram')
  expect(text).toContain('size_bucket{le="+Inf"} 0')
})

test('by a label each value has buckets of its own', async () => {
  const registry = new Registry()
  const histogram = new LabelledHistogram(registry, { name: 'size', help: 'A size', bounds: [1], label: 'of' })
  for (const [of, value] of [
    ['a', 1],
    ['b', 2],
    ['a', 3],
  ] as const)
    histogram.observe(of, value)
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('size'))
  expect(lines).toEqual([
    'size_bucket{le="1",of="a"} 1',
    'size_bucket{le="+Inf",of="a"} 2',
    'size_sum{of="a"} 4',
    'size_count{of="a"} 2',
    'size_bucket{le="1",of="b"} 0',
    'size_bucket{le="+Inf",of="b"} 1',
    'size_sum{of="b"} 2',
    'size_count{of="b"} 1',
  ])
})
