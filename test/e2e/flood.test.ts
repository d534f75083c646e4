// Many sockets at the door at once: silent ones, and ones whose user is being revoked meanwhile.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bearer, type IdentityBench, identityBench } from '../support/identity.ts'
import { call } from '../support/rest-client.ts'
import { JSON_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { tokenFor } from '../support/tokens.ts'

let bench: IdentityBench
beforeAll(async () => {
  bench = await identityBench()
})
afterAll(() => bench?.close())

const SILENT = 2_000
const WAVE = 100

test('people with a token get in while two thousand silent sockets come from twenty addresses', async () => {
  const app = await bench.start({ MAX_CONNECTIONS: '400' })
  const silent: SocketClient[] = []
  for (let first = 0; first < SILENT; first += WAVE) {
    const from = `127.0.0.${2 + first / WAVE}`
    const wave = Array.from({ length: WAVE }, () => SocketClient.dial(app, '', { from }))
    silent.push(...wave)
    const token = tokenFor(`person ${first}`.replace(' ', '-'))
    const byFrame = SocketClient.dial(app, '')
    await byFrame.opened()
    byFrame.send({ type: 'auth', token })
    const people = await Promise.all([
      byFrame.next('welcome').then(() => byFrame),
      SocketClient.connect(app, '', { headers: bearer(token) }),
      SocketClient.connect(app, '', { protocol: `${JSON_PROTOCOL},bearer.${token}` }),
    ])
    for (const person of people) expect(await person.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    await Promise.all([
      ...wave.map((socket) => Promise.race([socket.opened(), socket.closed])),
      ...people.map((person) => person.close()),
    ])
  }
  const endings = await Promise.all(silent.map((socket) => socket.closed))
  expect(new Set(endings.map(({ code }) => code))).toEqual(new Set([4408]))
})

test('a hundred silent sockets of an address do not push out those of another', async () => {
  const app = await bench.start({ MAX_CONNECTIONS: '4000' })
  const flood: SocketClient[] = []
  // It may be silent for five seconds, so one comes anew before each wave; from the second on the address is full already.
  for (let wave = 0; wave < 3; wave += 1) {
    const quiet = SocketClient.dial(app, '', { from: '127.0.0.2' })
    await quiet.opened()
    const more = Array.from({ length: WAVE }, () => SocketClient.dial(app, '', { from: '127.0.0.3' }))
    flood.push(...more)
    await Promise.all(more.map((socket) => socket.opened()))
    quiet.send({ type: 'auth', token: tokenFor('ann') })
    expect(await quiet.next('welcome')).toMatchObject({ user_id: 'ann' })
    await quiet.close()
  }
  const ended = await Promise.all(flood.slice(0, 2 * WAVE).map((socket) => socket.closed))
  expect(new Set(ended.map(({ code }) => code))).toEqual(new Set([4408]))
  for (const socket of flood) socket.cut()
})

test('no socket of a token stays open when its user is revoked on another instance while sockets come', async () => {
  const [here, there] = [await bench.start({ MAX_CONNECTIONS_PER_USER: '1000' }), await bench.start()]
  const userId = `u-${randomUUID()}`
  const token = tokenFor(userId)
  const headers = bearer(token)
  const doors = [
    () => SocketClient.dial(here, '', { headers }),
    () => SocketClient.dial(here, '', { protocol: `${JSON_PROTOCOL},bearer.${token}` }),
    async () => {
      const socket = SocketClient.dial(here, '')
      await socket.opened()
      socket.send({ type: 'auth', token })
      return socket
    },
    async () => {
      const { body } = await call(here, 'POST', '/api/auth/ticket', { headers })
      return SocketClient.dial(here, `ticket=${body?.['ticket'] ?? 'refused'}`)
    },
  ]
  const sockets: SocketClient[] = []
  const key = await bench.key('sessions:revoke')
  let revoked: Promise<unknown> | undefined
  // Waves go on until the revocation holds here too.
  for (let wave = 0; ; wave += 1) {
    const knocks = Array.from({ length: 5 }, () => doors).flat()
    const coming = Promise.all(knocks.map((knock) => knock()))
    if (wave === 1)
      revoked = call(there, 'POST', '/api/auth/revoke', { headers: bearer(key), body: { user_id: userId } })
    sockets.push(...(await coming))
    const { status } = await call(here, 'GET', '/api/conversations', { headers })
    if (status === 401) break
  }
  expect(await revoked).toMatchObject({ status: 204 })
  const endings = await Promise.all(sockets.map((socket) => socket.closed))
  const welcomed = sockets.filter((socket) => socket.frames.some(({ type }) => type === 'welcome'))
  expect(welcomed.length).toBeGreaterThan(20)
  for (const { code } of endings) expect([4401, 1006]).toContain(code)
  // Each that was let in was told why it ends.
  for (const socket of welcomed) expect(await socket.closed).toEqual({ code: 4401, reason: 'session_revoked' })
})
