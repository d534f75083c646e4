import { describe, expect, test } from 'vitest'
import type { Authenticator, Verification } from '../../../src/auth/authenticator.ts'
import { Lobby, type Visit } from '../../../src/gateway/lobby.ts'
import { jsonCodec } from '../../../src/gateway/wire/codec.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { NotedSocket } from '../../support/noted-socket.ts'

const identityOf = (userId: string) => ({
  userId,
  expiresAtMs: 1,
  issuedAtSeconds: undefined,
  sessionId: undefined,
  tokenId: undefined,
})

/** `ann` and `bob` are good tokens of the people of that name. */
function setUp({ maxVisitors = 1_000 } = {}) {
  const clock = new FakeClock()
  const admitted: string[] = []
  const state = {
    left: 0,
    known: ['ann', 'bob'],
    later: undefined as Promise<void> | undefined,
    isAway: false,
    waitMs: 0,
    refused: [] as string[],
  }
  const authenticator: Authenticator = {
    verify: (token): Verification => {
      if (state.isAway) return { fault: 'unavailable' }
      if (state.known.includes(token)) return { identity: identityOf(token) }
      return state.later === undefined ? { fault: 'signature' } : { fault: 'unknown_key', later: state.later }
    },
    isRevoked: () => false,
    isSuspended: () => false,
    redeem: async () => ({ fault: 'ticket' }),
    verifyKey: async () => ({ fault: 'key' }),
  }
  const lobby = new Lobby({
    authenticator,
    clock,
    maxVisitors,
    guard: { credentialRefused: () => state.waitMs },
    observer: { commandRefused: (code) => void state.refused.push(code) },
  })
  const silent = {
    received: () => undefined,
    emptied: () => undefined,
    dropped: () => undefined,
    closed: () => undefined,
  }
  const visit = (more: Partial<Visit> = {}): NotedSocket =>
    new NotedSocket(
      lobby.receive({
        address: '192.0.2.1',
        codec: jsonCodec,
        implicit: false,
        claimed: undefined,
        verification: undefined,
        admit: ({ userId }) => ({ ...silent, opened: () => admitted.push(userId) }),
        left: () => {
          state.left += 1
        },
        ...more,
      }),
    )
  return { clock, lobby, visit, admitted, state }
}

describe('a socket in the lobby', () => {
  test('becomes a connection in the turn in which it says a good token', () => {
    const { lobby, visit, admitted, clock, state } = setUp()
    const socket = visit()
    expect(lobby.size).toBe(1)
    socket.says({ type: 'auth', token: 'ann' })
    expect(admitted).toEqual(['ann'])
    expect([lobby.size, clock.pending, state.left, socket.events]).toEqual([0, 0, 0, []])
  })

  test('is closed 4401 after one error, with its ref, for a bad token', () => {
    const { lobby, visit, admitted, state } = setUp()
    const socket = visit()
    socket.says({ type: 'auth', token: 'forged', ref: 0 })
    expect(state.refused).toEqual(['unauthorized'])
    expect(socket.events).toEqual([
      { type: 'error', ref: 0, code: 'unauthorized', message: 'Credentials are missing, expired or wrong.' },
    ])
    expect(socket.closedBy).toBe('unauthorized')
    expect([admitted, lobby.size, state.left]).toEqual([[], 0, 1])
  })

  test('that has left while its token was looked up is told nothing, and is no refusal of its address', async () => {
    const { visit, admitted, state } = setUp()
    const [bad, good] = [
      Promise.resolve<Verification>({ fault: 'ticket' }),
      Promise.resolve({ identity: identityOf('ann') }),
    ]
    const sockets = [visit({ verification: bad }), visit({ verification: good })]
    for (const socket of sockets) socket.listener.closed(1)
    await settled()
    expect([state.refused, admitted, state.left]).toEqual([[], [], 2])
  })

  test('is told to wait when its address has sent too many bad tokens, and not when the trouble is ours', () => {
    const { visit, state } = setUp()
    state.waitMs = 100
    const socket = visit()
    socket.says({ type: 'auth', token: 'forged', ref: 0 })
    expect(socket.events).toMatchObject([{ ref: 0, code: 'rate_limited', retry_after_ms: 100 }])
    expect(socket.closedBy).toBe('rate_limited')
    state.isAway = true
    const other = visit()
    other.says({ type: 'auth', token: 'ann', ref: 0 })
    expect(other.events).toMatchObject([{ code: 'unavailable' }])
  })

  test('is told unauthorized for other frames and stays, and is closed after sixteen', () => {
    const { visit } = setUp()
    const socket = visit()
    for (let ref = 0; ref < 16; ref += 1) socket.says({ type: 'history', with: 'bob', ref })
    expect(socket.events.map(({ code, ref }) => [code, ref])).toEqual(
      Array.from({ length: 16 }, (_, ref) => ['unauthorized', ref]),
    )
    expect(socket.closedBy).toBeUndefined()
    socket.says({ type: 'send', receiver_id: 'bob', content: 'hi' })
    expect([socket.closedBy, socket.events.length]).toEqual(['unauthorized', 16])
  })

  test('that says a bare message without a type, and a frame that is no command, is told the same', () => {
    const { visit } = setUp()
    const socket = visit({ implicit: true })
    socket.says({ receiver_id: 'bob', content: 'hi' })
    socket.says({ type: 'nothing' })
    expect(socket.events.map(({ code }) => code)).toEqual(['unauthorized', 'unauthorized'])
  })

  test('is answered pings, and not for ever', () => {
    const { visit } = setUp()
    const socket = visit()
    socket.says({ type: 'ping', ref: 'x' })
    expect(socket.events).toEqual([{ type: 'pong', ref: 'x' }])
    // They are none of the sixteen frames that are refused.
    for (let count = 1; count < 1_000; count += 1) socket.says({ type: 'ping' })
    expect([socket.closedBy, socket.events.length]).toEqual([undefined, 1_000])
    socket.says({ type: 'ping' })
    expect(socket.closedBy).toBe('rate_limited')
  })

  test('is closed 4408 after five seconds without a good token', async () => {
    const { clock, visit, lobby } = setUp()
    const socket = visit()
    await clock.advance(4_999)
    expect(socket.closedBy).toBeUndefined()
    await clock.advance(1)
    expect([socket.closedBy, lobby.size]).toEqual(['no_auth_in_time', 0])
  })

  test.each([
    ['no JSON', 'hello', 'undecodable'],
    ['too large', ' '.repeat(64 * 1024 + 1), 'too_large'],
  ])('is closed for a frame that is %s', (_, text, name) => {
    const { visit } = setUp()
    const socket = visit()
    socket.says(text)
    expect(socket.closedBy).toBe(name)
  })

  test('whose token is of somebody else than the query named is closed 4403', () => {
    const { visit, admitted } = setUp()
    const socket = visit({ claimed: 'bob' })
    socket.says({ type: 'auth', token: 'ann' })
    expect([socket.closedBy, admitted]).toEqual(['forbidden', []])
  })

  test('hears that the service is the one that cannot, while revocations cannot be read', () => {
    const { visit, state } = setUp()
    state.isAway = true
    const socket = visit()
    socket.says({ type: 'auth', token: 'ann' })
    expect([socket.closedBy, socket.events[0]?.['code']]).toEqual(['overloaded', 'unavailable'])
  })
})

describe('what came with the upgrade', () => {
  test('admits at once when it is good, and turns away in words that can be read when it is bad', () => {
    const { visit, admitted, lobby } = setUp()
    visit({ verification: { identity: identityOf('ann') } })
    const bad = visit({ verification: { fault: 'expired' } })
    expect([admitted, bad.closedBy, bad.events[0]?.['code'], lobby.size]).toEqual([
      ['ann'],
      'unauthorized',
      'unauthorized',
      0,
    ])
  })

  test('may take a while, and is nothing to a client that has gone', async () => {
    const { visit, admitted } = setUp()
    visit({ verification: Promise.resolve({ identity: identityOf('ann') }) })
    const gone = visit({ verification: Promise.resolve({ identity: identityOf('bob') }) })
    gone.close('policy')
    await settled()
    expect(admitted).toEqual(['ann'])
  })

  test('with a key that is being looked for is verified again once the look has ended', async () => {
    const { visit, admitted, state } = setUp()
    let found = (): void => undefined
    state.later = new Promise((resolve) => {
      found = resolve
    })
    const socket = visit()
    socket.says({ type: 'auth', token: 'cid' })
    socket.says({ type: 'auth', token: 'ann', ref: 'second' })
    expect(socket.events).toMatchObject([{ code: 'unauthorized', ref: 'second' }])
    state.known.push('cid')
    found()
    await settled()
    expect([admitted, socket.closedBy]).toEqual([['cid'], undefined])
  })
})

describe('a flood of silent sockets', () => {
  test('of one address pushes out its own, longest waiting first, and nobody of another', () => {
    const { visit, lobby } = setUp()
    const other = visit({ address: '192.0.2.2' })
    const flood = Array.from({ length: 150 }, () => visit())
    expect(flood.map(({ closedBy }) => closedBy)).toEqual([
      ...Array.from({ length: 50 }, () => 'no_auth_in_time'),
      ...Array.from({ length: 100 }, () => undefined),
    ])
    expect([other.closedBy, lobby.size]).toEqual([undefined, 101])
  })

  test('of ten thousand addresses is bounded, and people with a token still get in', () => {
    const { visit, lobby, admitted } = setUp({ maxVisitors: 250 })
    for (let number = 0; number < 10_000; number += 1) visit({ address: `address ${number}` })
    expect(lobby.size).toBe(250)
    const socket = visit({ address: 'address of ann' })
    socket.says({ type: 'auth', token: 'ann' })
    visit({ verification: { identity: identityOf('bob') } })
    expect(admitted).toEqual(['ann', 'bob'])
  })

  test('ends with the service', () => {
    const { visit, lobby, clock } = setUp()
    const sockets = Array.from({ length: 10 }, () => visit())
    lobby.close('restart')
    expect([sockets.every(({ closedBy }) => closedBy === 'restart'), lobby.size, clock.pending]).toEqual([true, 0, 0])
  })
})
