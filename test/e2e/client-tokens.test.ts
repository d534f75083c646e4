// The client SDK on a service that wants tokens.
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import type { App } from '../../src/app.ts'
import { AuthError, type Client, createClient, type GetToken } from '../../src/client/index.ts'
import { hurried, live, until } from '../support/chat-client.ts'
import { type IdentityBench, identityBench } from '../support/identity.ts'
import { tokenFor } from '../support/tokens.ts'

let bench: IdentityBench
let app: App

beforeAll(async () => {
  bench = await identityBench()
  app = await bench.start()
})
afterAll(() => bench?.close())

const secondsFromNow = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

function connect(getToken: GetToken): { client: Client; asked: string[]; sockets: () => number } {
  const asked: string[] = []
  let sockets = 0
  class Counted extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args)
      sockets += 1
    }
  }
  const client = createClient({
    ...{ url: `ws://127.0.0.1:${app.port}/ws`, WebSocket: Counted, clock: hurried },
    auth: {
      getToken(request) {
        asked.push(request.reason)
        return getToken(request)
      },
    },
  })
  onTestFinished(() => client.close())
  return { client, asked, sockets: () => sockets }
}

test('is the user that its token says, over the socket and over HTTP', async () => {
  const ann = connect(() => Promise.resolve(tokenFor('ann'))).client
  const bob = connect(() => Promise.resolve(tokenFor('bob'))).client
  await Promise.all([live(ann), live(bob)])
  expect(ann.userId).toBe('ann')
  expect(await ann.conversation('bob').send('hello').settled).toMatchObject({ outcome: 'ok' })
  await until(bob.conversation('ann').messages, ([row]) => row?.content === 'hello')
  expect(await ann.users.get('bob')).toMatchObject({ user_id: 'bob', display_name: 'bob' })
  await expect(ann.users.search('bo')).rejects.toMatchObject({ name: 'ChatError', code: 'forbidden', temporary: false })
})

test('asks once more for a token when the first was refused', async () => {
  const tokens = [tokenFor('cid', { iat: secondsFromNow(-7200), exp: secondsFromNow(-3600) }), tokenFor('cid')]
  const { client, asked } = connect(() => Promise.resolve(tokens.shift() ?? ''))
  const sending = client.conversation('ann').send('waits for a token')
  await live(client)
  expect(asked).toEqual(['connect', 'refused'])
  expect(await sending.settled).toMatchObject({ outcome: 'ok' })
})

test('stops when a second token in a row is refused, and keeps what waits', async () => {
  const { client, asked, sockets } = connect(() => Promise.resolve('x.y.z'))
  const sending = client.conversation('ann').send('never')
  expect(await until(client.status, ({ state }) => state === 'stopped')).toMatchObject({ why: 'unauthorized' })
  expect([asked, sockets()]).toEqual([['connect', 'refused'], 2])
  expect(sending.status.get()).toBe('queued')
  expect(client.pending.get()).toBe(1)
})

test('stops when the application says that there will be no token', async () => {
  const { client, sockets } = connect(() => Promise.reject(new AuthError()))
  expect(await until(client.status, ({ state }) => state === 'stopped')).toMatchObject({ why: 'unauthorized' })
  expect(sockets()).toBe(0)
})

test('tries again when a token could not be had for another reason', async () => {
  let failures = 2
  const { client } = connect(() => {
    failures -= 1
    return failures >= 0 ? Promise.reject(new Error('offline')) : Promise.resolve(tokenFor('dan'))
  })
  await live(client)
  expect(client.userId).toBe('dan')
})

test('renews its token on the open connection, before it ends', async () => {
  const { client, asked, sockets } = connect(() => Promise.resolve(tokenFor('eve', { exp: secondsFromNow(20) })))
  await live(client)
  const { settled } = client.conversation('ann').send('meanwhile')
  expect(await settled).toMatchObject({ outcome: 'ok' })
  await until({ get: () => asked.length, subscribe: (fn) => everyTurn(fn) }, (count) => count >= 3)
  expect(asked.slice(0, 3)).toEqual(['connect', 'refresh', 'refresh'])
  expect([sockets(), client.status.get().state]).toEqual([1, 'live'])
})

/** Calls after each turn of the event loop, until told to stop. */
function everyTurn(fn: () => void): () => void {
  let isOver = false
  const turn = (): void => {
    if (isOver) return
    fn()
    setTimeout(turn, 1)
  }
  turn()
  return () => {
    isOver = true
  }
}
