// Three tabs of one person on one database, opened and closed at random, while the server goes away and its database is set back.
import fc from 'fast-check'
import { afterAll, expect, test, vi } from 'vitest'
import { type Client, createClient, indexedDbStorage, type Message } from '../../../src/client/index.ts'
import { FakeServer, seededRandom } from '../../../src/client/testing/index.ts'
import { stubPage } from '../../support/fake-page.ts'

// The files that come after this one in the same process are no pages.
afterAll(() => void vi.unstubAllGlobals())

const NAME = 'messaging-server-client http://fake.test ben'
const TABS = 3

interface Act {
  readonly kind: 'send' | 'write' | 'cut' | 'rewind' | 'reload' | 'read' | 'down' | 'up' | 'open' | 'slow'
  readonly tab: number
  readonly ms: number
}
const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom<Act['kind']>(
    ...(['send', 'send', 'write', 'write', 'write', 'cut', 'rewind', 'rewind', 'reload'] as const),
    ...(['read', 'down', 'up', 'open', 'slow'] as const),
  ),
  tab: fc.nat(TABS - 1),
  ms: fc.oneof(fc.nat(30), fc.nat(2500)),
})

class Browser {
  readonly server: FakeServer
  readonly tabs: Client[] = []
  readonly typed: string[] = []
  readonly lost = new Set<string>()
  #seed: number

  constructor(seed: number) {
    stubPage()
    this.#seed = seed
    this.server = new FakeServer({ seed, latencyMs: 2 })
    for (let tab = 0; tab < TABS; tab += 1) this.tabs.push(this.#open())
  }

  #open(): Client {
    this.#seed += 1
    const { WebSocket, fetch, clock } = this.server
    const auth = { userId: 'ben' }
    const given = { auth, WebSocket, fetch, clock, storage: indexedDbStorage(), random: seededRandom(this.#seed) }
    return createClient({ url: 'ws://fake.test/ws', ...given })
  }

  async run({ kind, tab, ms }: Act, at: number): Promise<void> {
    const { server, tabs } = this
    const client = tabs[tab] as Client
    const amy = client.conversation('amy')
    if (kind === 'send') this.#send(amy.send, `typed ${at}`)
    else if (kind === 'write') server.write('amy', 'ben', `written ${at}`)
    else if (kind === 'cut') server.cut()
    else if (kind === 'rewind') this.#rewind(ms % 4)
    else if (kind === 'read') amy.markRead(amy.summary.get().last_seq)
    else if (kind === 'open') amy.messages.get()
    else if (kind === 'slow') server.frameFault = ({ type }) => (type === 'history' ? { delayMs: ms } : undefined)
    else if (kind === 'reload') {
      void client.close()
      tabs[tab] = this.#open()
    } else server.isDown = kind === 'down'
    await this.advance(ms)
  }

  #send(send: (text: string) => { readonly saved: Promise<void> }, text: string): void {
    void send(text).saved.then(() => this.typed.push(text))
  }

  #rewind(lost: number): void {
    const { messages } = this.server.log.of('amy', 'ben')
    if (lost > 0) for (const { content } of messages.slice(-lost)) this.lost.add(content)
    this.server.setBack(lost)
  }

  /** Databases and channels take turns of their own. */
  async advance(ms: number): Promise<void> {
    for (let left = ms; left >= 0; left -= 50) {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      await this.server.clock.advance(Math.min(50, left))
    }
  }
}

test('every tab ends with what the server has, and so does the database, whatever was typed where', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 30 }), fc.nat(1_000_000), async (acts, seed) => {
      const browser = new Browser(seed)
      const { server, tabs } = browser
      await browser.advance(500)
      for (const [at, one] of acts.entries()) await browser.run(one, at)
      server.isDown = false
      server.frameFault = () => undefined
      await browser.advance(40_000)
      for (const client of tabs) client.conversation('amy').messages.get()
      await browser.advance(1000)
      const { messages } = server.log.of('amy', 'ben')
      judge(browser, messages)
      for (const client of tabs) await client.close()
      await checkKept(messages)
    }),
    { seed: 19_113, numRuns: 12 },
  )
}, 120_000)

function judge({ tabs, typed, lost }: Browser, messages: readonly Message[]): void {
  const texts = messages.map(({ content }) => content)
  expect(new Set(texts).size, 'doubled').toBe(texts.length)
  expect(
    typed.filter((text) => !texts.includes(text) && !lost.has(text)),
    'lost',
  ).toEqual([])
  for (const [index, client] of tabs.entries()) {
    const { messages: rows, summary } = client.conversation('amy')
    expect(client.pending.get(), `tab ${index}: stuck`).toBe(0)
    expect(summary.get().last_seq, `tab ${index}: the last`).toBe(messages.length)
    const shown = rows.get().map(({ seq, id }) => [seq, id])
    expect(shown, `tab ${index}`).toEqual(
      messages.slice(-shown.length || messages.length).map(({ seq, id }) => [seq, id]),
    )
  }
}

/** What is kept is of the server's line; a row that another tab has dropped is fetched again by whoever misses it. */
async function checkKept(messages: readonly Message[]): Promise<void> {
  const storage = await indexedDbStorage().open(NAME, () => undefined)
  for (const { ranges } of (await storage.load()).conversations)
    for (const [first, last] of ranges)
      for (const { seq, id } of await storage.messages('amy', first, last))
        expect(id, `kept as ${seq}`).toBe(messages[seq - 1]?.id)
  storage.close()
}
