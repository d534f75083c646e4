// Tabs of one person where there are no Web Locks: what one tab wrote is stored in the order of typing.
import { afterAll, expect, test, vi } from 'vitest'
import { type Client, createClient, indexedDbStorage } from '../../../src/client/index.ts'
import { FakeServer, seededRandom } from '../../../src/client/testing/index.ts'
import { contentsOf } from '../../support/fake-chat.ts'
import { setNavigator, stubPage } from '../../support/fake-page.ts'

afterAll(() => void vi.unstubAllGlobals())

test.each(Array.from({ length: 16 }, (_, at) => at + 1))(
  'what each of three tabs has typed is stored in its order, also where nobody knows which tabs are alive: seed %d',
  async (seed) => {
    stubPage()
    setNavigator({ onLine: true })
    const server = new FakeServer({ seed, latencyMs: 5 + (seed % 40) })
    const { fetch, clock } = server
    const random = seededRandom(seed)
    // The way to the server takes longer at times; what one socket carries stays in order.
    const WebSocket = class extends server.WebSocket {
      #free = 0
      override send(frame: string): void {
        this.#free = Math.max(this.#free, clock.now() + random() * 150)
        clock.after(this.#free - clock.now(), () => super.send(frame))
      }
    }
    const clients = [0, 1, 2].map(
      (index): Client =>
        createClient({
          ...{ url: 'ws://fake.test/ws', auth: { userId: 'ben' }, WebSocket, fetch, clock },
          ...{ storage: indexedDbStorage(), random: seededRandom(100 * seed + index) },
        }),
    )
    const advance = async (ms: number): Promise<void> => {
      for (let left = ms; left >= 0; left -= 5) {
        for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        await clock.advance(5)
      }
    }
    await advance(500)
    server.isDown = true
    server.cut()
    for (const [tab, client] of clients.entries())
      for (let n = 1; n <= 8; n += 1) client.conversation('amy').send(`tab ${tab} ${n}`)
    await advance(300)
    server.isDown = false
    await advance(8000)
    const stored = contentsOf(server.log.of('amy', 'ben').messages)
    for (const client of clients) await client.close()
    for (const tab of [0, 1, 2]) {
      const own = stored.filter((text) => text.startsWith(`tab ${tab}`))
      expect(own).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `tab ${tab} ${n}`))
    }
  },
)
