import { expect, test } from 'vitest'
import { pendingMessage } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

type Bench = ReturnType<typeof gatewayBench>
type Client = Awaited<ReturnType<Bench['connectLive']>>

async function synced(client: Client, since?: string) {
  client.say({ type: 'sync', ...(since === undefined ? {} : { since }) })
  await settled()
  return client.events('sync').at(-1)
}

test.each([
  ['20 s behind', -20_000],
  ['20 s ahead', 20_000],
  ['an hour behind', -3_600_000],
])('a change after one sync is in the next since its time, also where the store’s clock is %s', async (_, aheadMs) => {
  const bench = gatewayBench()
  bench.storeTime.aheadMs = aheadMs
  const bob = await bench.connectLive('bob')
  const first = await synced(bob)
  expect(first).toMatchObject({ changed: [], server_time: new Date(bench.clock.now() + aheadMs).toISOString() })
  await bench.clock.advance(1_000)
  await bench.store.commit([pendingMessage('ann', 'bob')], [], 'fast')
  await bench.clock.advance(60_000)
  expect(await synced(bob, String(first?.['server_time']))).toMatchObject({ changed: [{ with: 'ann', last_seq: 1 }] })
})

test('the time of a sync goes on while this process’s clock stands still', async () => {
  const bench = gatewayBench()
  const bob = await bench.connectLive('bob')
  await synced(bob)
  bench.storeTime.aheadMs += 300_000
  expect(await synced(bob)).toMatchObject({ server_time: new Date(bench.clock.now() + 300_000).toISOString() })
})

test('what is said without an answer of the store is its time as it was last told, and what has passed since', async () => {
  const bench = gatewayBench()
  bench.storeTime.aheadMs = -20_000
  const at = (aheadMs: number) => new Date(bench.clock.now() + aheadMs).toISOString()
  const first = bench.connect('ann')
  await settled()
  expect(first.events('welcome')).toMatchObject([{ server_time: at(0) }])
  expect(first.events('synced')).toMatchObject([{ server_time: at(-20_000) }])
  await bench.clock.advance(5_000)
  const second = bench.connect('bob')
  await settled()
  expect(second.events('welcome')).toMatchObject([{ server_time: at(-20_000) }])
})
