// Tabs of one person that are closed one after the other: what each has typed is sent by those that are left, in its order.
import { afterAll, expect, test, vi } from 'vitest'
import { type Client, createClient, indexedDbStorage } from '../../../src/client/index.ts'
import { FakeServer, seededRandom } from '../../../src/client/testing/index.ts'
import { contentsOf } from '../../support/fake-chat.ts'
import { stubPage } from '../../support/fake-page.ts'

// The files that come after this one in the same process are no pages.
afterAll(() => void vi.unstubAllGlobals())

const TABS = [0, 1, 2, 3]
const NUMBERS = [1, 2, 3]

test.each(Array.from({ length: 16 }, (_, at) => at + 1))(
  'what four tabs have typed is stored once, each in its order, though two of them are closed: seed %d',
  async (seed) => {
    stubPage()
    const server = new FakeServer({ seed, latencyMs: 5 })
    const { fetch, clock, WebSocket } = server
    const random = seededRandom(seed)
    // Databases and channels take turns of their own.
    const advance = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 50) {
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        await clock.advance(50)
      }
    }
    const clients: Client[] = []
    for (const tab of TABS) {
      const given = { url: 'ws://fake.test/ws', auth: { userId: 'ben' }, WebSocket, fetch, clock }
      clients.push(createClient({ ...given, storage: indexedDbStorage(), random: seededRandom(100 * seed + tab) }))
      // One after the other: their names are in the order of time.
      await advance(100)
    }
    server.isDown = true
    server.cut()
    for (const n of NUMBERS)
      for (const [tab, client] of clients.entries()) client.conversation('amy').send(`tab ${tab} ${n}`)
    await advance(300)
    for (const left of [4, 3]) {
      await clients.splice(Math.floor(random() * left), 1)[0]?.close()
      await advance(300)
    }
    server.isDown = false
    await advance(40_000)
    const stored = contentsOf(server.log.of('amy', 'ben').messages)
    for (const client of clients) await client.close()
    expect(TABS.map((tab) => stored.filter((text) => text.startsWith(`tab ${tab}`)))).toEqual(
      TABS.map((tab) => NUMBERS.map((n) => `tab ${tab} ${n}`)),
    )
  },
)
