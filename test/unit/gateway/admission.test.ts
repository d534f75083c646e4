import { describe, expect, test } from 'vitest'
import type { Authenticator, Verification } from '../../../src/auth/authenticator.ts'
import { createUpgradeHandler } from '../../../src/gateway/admission.ts'
import type { Connection } from '../../../src/gateway/connection.ts'
import { connectionServices } from '../../../src/gateway/connection-services.ts'
import { Guard } from '../../../src/gateway/guard.ts'
import { Lobby } from '../../../src/gateway/lobby.ts'
import type { RestRequest } from '../../../src/gateway/rest-exchange.ts'
import { unlimitedGuard } from '../../support/builders.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { FakeSocket, gatewayBench } from '../../support/gateway.ts'
import { NotedSocket } from '../../support/noted-socket.ts'

/** The door of an instance on which one socket may be open. */
function narrowDoor() {
  const rates = {
    userCommandsPerSecond: 0,
    addressRequestsPerSecond: 0,
    upgradesPerSecond: 0,
    addressRefusalsPerSecond: 0,
  }
  const guard = new Guard({ ...rates, maxConnections: 1, maxConnectionsPerAddress: 9 }, { now: () => 0 })
  const services = connectionServices(gatewayBench().services)
  const origins = { any: true, exact: [], wildcards: [] }
  const upgrade = createUpgradeHandler({
    tokens: undefined,
    services,
    guard,
    origins,
    hostRule: () => true,
    isDraining: () => false,
  })
  return (query = 'user_id=ann', headers: Readonly<Record<string, string>> = {}) => {
    const request: RestRequest = {
      ...{ method: 'GET', path: '/ws', query, body: '', requestId: 'r' },
      headers: new Map(Object.entries(headers)),
      address: () => '192.0.2.1',
    }
    const admission = upgrade(request)
    return 'refused' in admission ? admission.refused.status : admission
  }
}

test('an upgrade takes its place before the socket is open, and a refused one gives it back', () => {
  const knock = narrowDoor()
  expect(knock('')).toBe(400)
  expect(knock('user_id=%20')).toBe(400)
  expect(knock('user_id=ann', { 'sec-websocket-protocol': 'chat' })).toBe(400)
  expect(knock()).toBeTypeOf('object')
  expect(knock()).toBe(503)
})

test.each([
  ['user_id=ann', 'ann'],
  ['user_id=ann%2Eb', 'ann.b'],
  ['user_id=a%2Bb', 'a+b'],
  ['user_id=ann&', 'ann'],
  ['user_id=a@b.example', 'a@b.example'],
  // A plus sign in a query is a space.
  ['user_id=a+b', 400],
  ['user_id=-ann', 400],
  ['user_id=.ann', 400],
  ['user_id=', 400],
  [`user_id=${'a'.repeat(129)}`, 400],
  ['user_id=ann&user_id=ann', 400],
  ['user_id=ann&other=1', 400],
  ['USER_ID=ann', 400],
])('the query %s of a socket names %s', (query, expected) => {
  const admission = narrowDoor()(query)
  expect(typeof admission === 'object' ? (admission.listener as Connection).userId : admission).toBe(expected)
})

test('a socket that could not be opened gives its place back, and one that was open when it closes', () => {
  const knock = narrowDoor()
  const lost = knock()
  if (typeof lost === 'object') lost.abandoned()
  const admitted = knock()
  expect(knock()).toBe(503)
  if (typeof admitted !== 'object') throw new Error('it was refused')
  const connection = admitted.listener as Connection
  connection.opened(new FakeSocket(connection))
  expect(knock()).toBe(503)
  connection.close('policy')
  expect(knock()).toBeTypeOf('object')
})

describe('a token whose key is not known yet', () => {
  const identity = {
    userId: 'ann',
    expiresAtMs: Date.UTC(2100, 0),
    issuedAtSeconds: undefined,
    sessionId: undefined,
    tokenId: undefined,
  }

  /** The door of an instance that finds the key at the second look, or has trouble of its own then. */
  function door(second: Verification) {
    const answers: Verification[] = [{ fault: 'unknown_key', later: Promise.resolve() }, second]
    const authenticator: Authenticator = {
      verify: () => answers.shift() ?? { fault: 'signature' },
      isRevoked: () => false,
      isSuspended: () => false,
      redeem: async () => ({ fault: 'ticket' }),
      verifyKey: async () => ({ fault: 'key' }),
    }
    const clock = new FakeClock()
    const guard = unlimitedGuard()
    const upgrade = createUpgradeHandler({
      tokens: {
        authenticator,
        lobby: new Lobby({
          authenticator,
          clock,
          guard,
          maxVisitors: 10,
          observer: { commandRefused: () => undefined },
        }),
      },
      services: connectionServices(gatewayBench().services),
      guard,
      origins: { any: true, exact: [], wildcards: [] },
      hostRule: () => true,
      isDraining: () => false,
    })
    return (headers: Readonly<Record<string, string>>): NotedSocket => {
      const admission = upgrade({
        ...{ method: 'GET', path: '/ws', query: '', body: '', requestId: 'r' },
        headers: new Map(Object.entries(headers)),
        address: () => '192.0.2.1',
      })
      if ('refused' in admission) throw new Error(`it was refused: ${admission.refused.status}`)
      return new NotedSocket(admission.listener)
    }
  }

  const DOORS = [
    ['a header', { authorization: 'Bearer a.b.c' }],
    ['a subprotocol', { 'sec-websocket-protocol': 'messaging.v1.json, bearer.a.b.c' }],
  ] as const

  test.each(DOORS)('that came by %s is verified again once the key is there', async (_, headers) => {
    const socket = door({ identity })(headers)
    await settled()
    expect(socket.events[0]).toMatchObject({ type: 'welcome', user_id: 'ann' })
  })

  test.each(DOORS)('that came by %s is not called wrong when the trouble is ours', async (_, headers) => {
    const socket = door({ fault: 'unavailable' })(headers)
    await settled()
    expect(socket.events).toMatchObject([{ type: 'error', code: 'unavailable' }])
  })
})
