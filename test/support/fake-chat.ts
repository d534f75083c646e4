// Clients of the fake server, on one clock that the test moves.
import { onTestFinished } from 'vitest'
import { type Client, type ClientOptions, createClient, type Message, memoryStorage } from '../../src/client/index.ts'
import { FakeServer, type FakeServerOptions, seededRandom } from '../../src/client/testing/index.ts'

export interface FakeChat {
  readonly server: FakeServer
  readonly client: (user: string, options?: Partial<ClientOptions>) => Client
  readonly advance: (ms: number) => Promise<void>
}

export function fakeChat(options: FakeServerOptions = {}): FakeChat {
  const server = new FakeServer(options)
  const { clock, fetch, WebSocket } = server
  let seed = 100
  return {
    server,
    advance: (ms) => clock.advance(ms),
    client(user, init = {}) {
      seed += 1
      const client = createClient({
        ...{ url: 'ws://fake.test/ws', auth: { userId: user }, WebSocket, fetch, storage: memoryStorage() },
        ...{ clock, random: seededRandom(seed) },
        ...init,
      })
      onTestFinished(() => client.close())
      return client
    },
  }
}

/** The messages that a client has told its listeners, in order. */
export function told(client: Client): Message[] {
  const all: Message[] = []
  client.on('message', (message) => all.push(message))
  return all
}

export function rowsOf(client: Client, other: string): string[] {
  return client
    .conversation(other)
    .messages.get()
    .map(({ content, state }) => `${content} ${state}`)
}

export const contentsOf = (messages: readonly { readonly content: string }[]): string[] =>
  messages.map(({ content }) => content)
