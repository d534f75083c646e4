import { expect, test } from 'vitest'
import { Metrics } from '../../../src/telemetry/metrics.ts'

/** The value of one series, as a scraper reads it. */
async function read(metrics: Metrics, series: string): Promise<number> {
  const line = (await metrics.text()).split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1))
}

test('sends are counted by outcome, and timed in seconds', async () => {
  const metrics = new Metrics({ version: '1.2.3', closeCodes: [1012, 4413] })
  metrics.sendSettled('stored', 10)
  metrics.sendSettled('stored', 20)
  metrics.sendSettled('unavailable', 0)
  expect(await read(metrics, 'messaging_sends_total{outcome="stored"}')).toBe(2)
  expect(await read(metrics, 'messaging_sends_total{outcome="unavailable"}')).toBe(1)
  expect(await read(metrics, 'messaging_ack_seconds_count')).toBe(3)
  expect(await read(metrics, 'messaging_ack_seconds_sum')).toBeCloseTo(0.03)
  // A scrape changes nothing.
  expect(await read(metrics, 'messaging_sends_total{outcome="stored"}')).toBe(2)
})

test('batches, their failures, publishes and healing are counted', async () => {
  const metrics = new Metrics({ version: '1.2.3', closeCodes: [1012, 4413] })
  metrics.committed(3, 5)
  metrics.failed('aborted')
  metrics.publishFailed()
  metrics.healed(4, 100, 'gap')
  expect(await read(metrics, 'messaging_batch_rows_sum')).toBe(3)
  expect(await read(metrics, 'messaging_batch_seconds_sum')).toBeCloseTo(0.005)
  expect(await read(metrics, 'messaging_batch_failures_total{failure="aborted"}')).toBe(1)
  expect(await read(metrics, 'messaging_publish_failures_total')).toBe(1)
  expect(await read(metrics, 'messaging_heals_total{reason="gap"}')).toBe(1)
  expect(await read(metrics, 'messaging_healed_conversations_total')).toBe(4)
})

test('gauges are read when somebody scrapes', async () => {
  const metrics = new Metrics({ version: '1.2.3', closeCodes: [1012, 4413] })
  let isConnected = true
  metrics.readFrom({
    connections: () => 7,
    queuedRows: () => 8,
    oldestSendMs: () => 1500,
    isConnectedToOthers: () => isConnected,
    droppedLogLines: () => 9,
  })
  expect(await read(metrics, 'messaging_connections')).toBe(7)
  expect(await read(metrics, 'messaging_queue_rows')).toBe(8)
  expect(await read(metrics, 'messaging_queue_age_seconds')).toBe(1.5)
  expect(await read(metrics, 'messaging_redis_connected')).toBe(1)
  isConnected = false
  expect(await read(metrics, 'messaging_redis_connected')).toBe(0)
})

test('says whether messages can be stored, whether or not anybody sends one', async () => {
  const metrics = new Metrics({ version: '1.2.3', closeCodes: [] })
  let isReady = true
  metrics.readReadiness(() => Promise.resolve(isReady))
  expect(await read(metrics, 'messaging_ready')).toBe(1)
  isReady = false
  expect(await read(metrics, 'messaging_ready')).toBe(0)
})

test('counts requests, refusals and ends of sockets by what the contract knows, and nothing that a client made up', async () => {
  const counted = new Metrics({ version: '1.2.3', closeCodes: [1012] })
  const request = { method: 'POST', route: '/api/send_message', status: 429, code: 'rate_limited' }
  counted.traffic.requestAnswered(request, 2)
  counted.traffic.requestAnswered({ ...request, status: 201, code: undefined }, 20)
  counted.traffic.commandRefused('id_conflict')
  for (const code of [1012, 1012, 1006, 4999, 3000]) counted.traffic.socketClosed(code)
  const text = await counted.text()
  for (const line of [
    'messaging_requests_total{method="POST",route="/api/send_message",status="429"} 1',
    'messaging_requests_total{method="POST",route="/api/send_message",status="201"} 1',
    'messaging_refusals_total{route="/api/send_message",code="rate_limited"} 1',
    'messaging_refusals_total{route="/ws",code="id_conflict"} 1',
    'messaging_request_seconds_count{route="/api/send_message"} 2',
    'messaging_request_seconds_bucket{le="0.0025",route="/api/send_message"} 1',
    'messaging_closes_total{code="1012"} 2',
    'messaging_closes_total{code="1006"} 1',
    'messaging_closes_total{code="other"} 2',
    `messaging_build_info{version="1.2.3",node="${process.version}"} 1`,
  ])
    expect(text.split('\n')).toContain(line)
})
