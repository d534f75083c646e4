import { expect, test } from 'vitest'
import { Unavailable } from '../../../src/lib/errors.ts'
import { Metrics } from '../../../src/telemetry/metrics.ts'
import { ANSWER_LIMIT_MS, MetricsHub, type ToWorker } from '../../../src/telemetry/metrics-hub.ts'
import { WorkerMetrics } from '../../../src/telemetry/worker-metrics.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

/** A supervisor and its workers, with channels that carry copies as those between processes do. */
function play() {
  const clock = new FakeClock()
  const hub = new MetricsHub(clock)
  const start = (index: number, connections: number) => {
    const metrics = new Metrics({ version: '1.2.3', closeCodes: [] })
    metrics.readFrom({
      connections: () => connections,
      queuedRows: () => 1,
      oldestSendMs: () => index * 1000,
      isConnectedToOthers: () => index === 0,
      droppedLogLines: () => 2,
    })
    let shared: WorkerMetrics | undefined
    const state = { isHung: false, isGone: false }
    hub.joined(index, (message: ToWorker) => {
      if (!state.isHung && !state.isGone) queueMicrotask(() => shared?.heard(structuredClone(message)))
    })
    shared = new WorkerMetrics({
      snapshot: () => metrics.snapshot(),
      send: (message) => state.isGone || queueMicrotask(() => hub.heard(index, structuredClone(message))),
      clock,
    })
    return { metrics, shared, state }
  }
  return { clock, hub, start }
}

const lines = async (text: Promise<string>): Promise<string[]> => (await text).split('\n')

test('any of several processes tells the numbers of all', async () => {
  const { start } = play()
  const [one, two] = [start(0, 7), start(1, 8)]
  await settled()
  one.metrics.sendSettled('stored', 10)
  two.metrics.sendSettled('stored', 2000)
  two.metrics.sendSettled('unavailable', 10)
  for (const { shared } of [one, two]) {
    const told = await lines(shared.text())
    for (const line of [
      'messaging_connections 15',
      'messaging_queue_rows 2',
      'messaging_queue_age_seconds 1',
      'messaging_redis_connected 0',
      'messaging_sends_total{outcome="stored"} 2',
      'messaging_sends_total{outcome="unavailable"} 1',
      'messaging_log_lines_dropped_total 4',
      'messaging_ack_seconds_count 3',
      'messaging_ack_seconds_bucket{le="2.5"} 3',
      'messaging_ack_seconds_bucket{le="0.01"} 2',
      `messaging_build_info{version="1.2.3",node="${process.version}"} 1`,
    ])
      expect(told).toContain(line)
  }
})

test('one that hangs is waited for once, and told as it was', async () => {
  const { clock, start } = play()
  const [one, two] = [start(0, 7), start(1, 8)]
  await settled()
  two.metrics.sendSettled('stored', 10)
  await one.shared.text()
  two.state.isHung = true
  const asked = [one.shared.text(), one.shared.text()]
  await clock.advance(ANSWER_LIMIT_MS)
  for (const text of asked) {
    expect(await lines(text)).toContain('messaging_connections 15')
    expect(await lines(text)).toContain('messaging_sends_total{outcome="stored"} 1')
  }
})

test('what one counted outlives it, and what it held does not', async () => {
  const { hub, start } = play()
  const [one, two] = [start(0, 7), start(1, 8)]
  await settled()
  for (const { metrics } of [one, two]) metrics.sendSettled('stored', 10)
  await one.shared.text()
  for (const life of [1, 2]) {
    hub.left(1)
    const again = start(1, 9)
    await settled()
    again.metrics.sendSettled('stored', 10)
    const told = await lines(one.shared.text())
    expect(told).toContain('messaging_connections 16')
    expect(told).toContain(`messaging_sends_total{outcome="stored"} ${2 + life}`)
    expect(told).toContain(`messaging_ack_seconds_count ${2 + life}`)
  }
})

test('one that ends while it is asked keeps nobody waiting, nor does one that still loads', async () => {
  const { hub, start } = play()
  const [one, two] = [start(0, 7), start(1, 8)]
  await settled()
  hub.joined(2, () => undefined)
  two.state.isHung = true
  const text = one.shared.text()
  await settled()
  hub.left(1)
  expect(await lines(text)).toContain('messaging_connections 7')
})

test('without an answer of the first process the metrics are not there, and are asked for anew', async () => {
  const { clock, start } = play()
  const one = start(0, 7)
  await settled()
  one.state.isGone = true
  const text = one.shared.text()
  text.catch(() => undefined) // looked at below
  await clock.advance(5_000)
  await expect(text).rejects.toBeInstanceOf(Unavailable)
  one.state.isGone = false
  expect(await lines(one.shared.text())).toContain('messaging_connections 7')
})
