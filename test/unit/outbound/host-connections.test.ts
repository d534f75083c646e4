import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HostConnections } from '../../../src/outbound/host-connections.ts'
import { FakePushService } from '../../support/fake-push-service.ts'

const LIMIT_MS = 20_000
const REQUEST = Buffer.from('POST /push/nobody HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi')
let fake: FakePushService
beforeAll(async () => {
  fake = await FakePushService.start()
})
afterAll(() => fake.close())

function connections(maxConnections: number, unused = (): void => undefined): HostConnections {
  const [host = '', port] = fake.host.split(':')
  const tls = { host, port: Number(port), ca: readFileSync(fake.env.NODE_EXTRA_CA_CERTS) }
  return new HostConnections({ tls, maxConnections, maxBodyBytes: 4_096, idleMs: 60_000, unused })
}
const statusOf = async (host: HostConnections, limitMs = LIMIT_MS): Promise<number> =>
  (await host.ask(REQUEST, limitMs)).status

test('many requests share a few connections, one after the other', async () => {
  const host = connections(3)
  const before = fake.connections
  const statuses = await Promise.all(Array.from({ length: 30 }, () => statusOf(host)))
  expect(new Set(statuses)).toEqual(new Set([400]))
  for (let at = 0; at < 10; at += 1) await statusOf(host)
  expect(fake.connections - before).toBe(3)
  host.close()
})

test('a connection that its host ends is followed by another', async () => {
  const host = connections(1)
  const before = fake.connections
  fake.answer = () => ({ status: 201, headers: { Connection: 'close' } })
  await statusOf(host)
  await statusOf(host)
  expect(fake.connections - before).toBe(2)
  fake.answer = () => ({ status: 201 })
  host.close()
})

test('an answer that comes too late takes its connection along, and nobody gets it', async () => {
  let isUnused = false
  const host = connections(1, () => {
    isUnused = true
  })
  await statusOf(host)
  fake.answer = () => ({ status: 201, delayMs: LIMIT_MS })
  const late = Promise.allSettled([statusOf(host, 200), statusOf(host, 200)])
  expect(await late).toMatchObject([
    { reason: { message: 'no answer in time' } },
    { reason: { message: 'no answer in time' } },
  ])
  fake.answer = () => ({ status: 201 })
  expect(await statusOf(host)).toBe(400)
  host.close()
  await expect.poll(() => isUnused, { timeout: LIMIT_MS }).toBe(true)
})

test('a host with a certificate of a stranger is told nothing', async () => {
  const [name = '', port] = fake.host.split(':')
  const before = fake.requests
  const host = new HostConnections({
    tls: { host: name, port: Number(port) },
    maxConnections: 1,
    maxBodyBytes: 4_096,
    idleMs: 60_000,
    unused: () => undefined,
  })
  await expect(statusOf(host)).rejects.toThrow(/certificate/)
  expect(fake.requests).toBe(before)
})
