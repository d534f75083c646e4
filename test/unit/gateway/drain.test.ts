import { expect, test } from 'vitest'
import { drainConnections, restartConnections } from '../../../src/gateway/drain.ts'
import { gatewayBench } from '../../support/gateway.ts'

const SPREAD_MS = 10_000

async function drainedClients(count: number) {
  const { connectLive, services } = gatewayBench()
  const clients = []
  for (let index = 0; index < count; index += 1) clients.push(await connectLive(`user${index}`))
  return { clients, close: drainConnections(services.connections, SPREAD_MS) }
}

test('a drain tells every client to come back, each at a time of its own', async () => {
  const { clients } = await drainedClients(50)
  const times = clients.map(({ events }) =>
    events('draining').map(({ reconnect_after_ms }) => Number(reconnect_after_ms)),
  )
  expect(times.map(({ length }) => length)).toEqual(Array(50).fill(1))
  expect(new Set(times.flat()).size).toBeGreaterThan(25)
  expect(times.flat().every((ms) => Number.isInteger(ms) && ms >= 0 && ms < SPREAD_MS)).toBe(true)
  expect(clients.some(({ socket }) => socket.closedBy !== undefined)).toBe(false)
})

test('the end of a drain closes whoever is still there with the code that says come back', async () => {
  const { clients, close } = await drainedClients(3)
  clients[1]?.socket.close('policy')
  await close()
  expect(clients.map(({ socket }) => socket.closedBy)).toEqual(['restart', 'policy', 'restart'])
})

test('a new line of history closes every socket in the same turn, after the word to come back', async () => {
  const { connectLive, services } = gatewayBench()
  const clients = [await connectLive('ann'), await connectLive('bob')]
  restartConnections(services.connections, SPREAD_MS)
  expect(clients.map(({ socket }) => socket.closedBy)).toEqual(['restart', 'restart'])
  expect(clients.map(({ events }) => events('draining').length)).toEqual([1, 1])
})
