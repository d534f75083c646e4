// Traces of messages as a collector of OpenTelemetry gets them, from processes of the service.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { freePort } from '../support/free-port.ts'
import { sharedRedis } from '../support/redis.ts'
import { useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

/** The part of OTLP's JSON that is looked at (opentelemetry-proto, trace.proto and common.proto). */
interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status: { readonly code: number; readonly message?: string }
}
interface Told extends Span {
  readonly instance: string | undefined
}
interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string }
}
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[]
  }[]
}

const services = useServices()
const bodies: string[] = []
let collector: Server
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
  collector = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (request.url === '/v1/traces') bodies.push(Buffer.concat(chunks).toString())
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  collector.closeAllConnections()
  await new Promise((resolve) => collector.close(resolve))
  await database.drop()
})

const environment = (port = (collector.address() as AddressInfo).port) => ({
  POSTGRES_DSN: database.dsn,
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
  OTEL_TRACES_SAMPLER_ARG: '1',
  OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  // Handed over soon, so that no test waits for the usual five seconds.
  OTEL_BSP_SCHEDULE_DELAY: '20',
})

const stringOf = (attributes: readonly Attribute[], name: string) =>
  attributes.find(({ key }) => key === name)?.value.stringValue

function spansOf(messageId: string): Told[] {
  const traceId = messageId.replaceAll('-', '')
  const exports = bodies.map((body): Export => JSON.parse(body))
  return exports
    .flatMap(({ resourceSpans }) => resourceSpans)
    .flatMap(({ resource, scopeSpans }) => {
      const instance = stringOf(resource.attributes, 'service.instance.id')
      return scopeSpans.flatMap(({ spans }) => spans).map((span) => ({ ...span, instance }))
    })
    .filter((span) => span.traceId === traceId)
}

const named = (spans: readonly Told[], name: string) => spans.filter((span) => span.name === name)

test('a message is one trace over two instances, from its send to its acknowledgement, without a text or a name', async () => {
  const { url, prefix } = sharedRedis()
  const redis = { REDIS_ADDR: url, REDIS_PREFIX: prefix }
  const [here, there] = await Promise.all([
    services.start({ ...environment(), ...redis }),
    services.start({ ...environment(), ...redis }),
  ])
  const ann = await SocketClient.connect(here, 'canary-ann')
  const bob = await SocketClient.connect(there, 'canary-bob')
  const id = '0191e5a8-7c1e-4f0a-9d5e-3b2c1a098765'
  ann.send({ type: 'send', receiver_id: 'canary-bob', content: 'canary text', id })
  const { seq } = await bob.next('message')
  bob.send({ type: 'ack', with: 'canary-ann', seq })
  await eventually(async () => named(spansOf(id), 'acknowledge').length === 1, 'the span of the acknowledgement')
  await Promise.all([ann.close(), bob.close()])
  // What still waits is handed over at the end.
  for (const service of [here, there]) expect(await service.stop()).toEqual({ code: 0, signal: null })

  const spans = spansOf(id)
  const [root] = named(spans, 'send')
  expect(spans.map(({ name }) => name).sort()).toEqual(['acknowledge', 'commit', 'deliver', 'queue', 'send'])
  expect(root?.parentSpanId ?? '').toBe('')
  for (const span of spans) {
    if (span !== root) expect(span.parentSpanId).toBe(root?.spanId)
    expect(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)).toBe(true)
  }
  for (const name of ['deliver', 'acknowledge']) {
    expect(named(spans, name)[0]?.instance).toBeDefined()
    expect(named(spans, name)[0]?.instance).not.toBe(root?.instance)
  }
  expect(bodies.join()).not.toContain('canary')
  expect(bodies.join()).toContain('deployment.environment.name')
})

test('without a collector everything is sent and stored, and that is said once', async () => {
  const service = await services.start({ ...environment(await freePort()) })
  const ann = await SocketClient.connect(service, 'ann')
  for (let ref = 0; ref < 20; ref += 1) {
    ann.send({ type: 'send', receiver_id: 'bob', content: 'hello', ref })
    expect(await ann.next('sent')).toMatchObject({ ref })
  }
  await service.logged(({ msg }) => msg === 'the collector of traces fails')
  await ann.close()
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect(service.logs.filter(({ msg }) => msg === 'the collector of traces fails')).toHaveLength(1)
})
