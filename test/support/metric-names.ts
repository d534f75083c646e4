import { Metrics } from '../../src/telemetry/metrics.ts'

/** Every metric that the service can have, with its type, whatever is configured. */
export async function metricTypes(): Promise<ReadonlyMap<string, string>> {
  const metrics = new Metrics({ version: '1.2.3', closeCodes: [1012, 4413] })
  const none = () => 0
  metrics.readFrom({
    connections: none,
    queuedRows: none,
    oldestSendMs: none,
    isConnectedToOthers: () => true,
    droppedLogLines: none,
  })
  metrics.readKeySetAge(none)
  metrics.readReadiness(() => Promise.resolve(true))
  metrics.push.readFrom({ subscribers: none, pending: none })
  const types = [...(await metrics.text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  return new Map(types.map(([, name = '', type = '']) => [name, type]))
}
