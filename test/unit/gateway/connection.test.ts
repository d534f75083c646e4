import { describe, expect, test, vi } from 'vitest'
import { MemoryPresence } from '../../../src/presence/presence.memory.ts'
import { PresenceWatches } from '../../../src/presence/watches.ts'
import { MAX_FRAME_BYTES, MAX_WATCHED, MAX_WATCHED_PER_COMMAND } from '../../../src/protocol/limits.ts'
import { pendingMessage, positionChange } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

const ID = '0190b6f1-0000-7000-8000-000000000000'
const bytes = (text: string) => new TextEncoder().encode(text)
const types = (events: readonly { type: string }[]) => events.map(({ type }) => type)
const seqs = (events: readonly { [field: string]: unknown }[]) => events.map(({ seq }) => seq)
const toBob = (count: number, from = 'ann') => Array.from({ length: count }, () => pendingMessage(from, 'bob'))
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('a new connection', () => {
  test('gets welcome, then everything unacknowledged in order, then synced', async () => {
    const { connect, store } = gatewayBench()
    await store.commit([...toBob(3), ...toBob(2, 'cid')], [], 'fast')
    await store.commit([], [positionChange('bob', 'ann', { delivered: 1 })], 'fast')
    const { events } = connect('bob')
    expect(types(events())).toEqual(['welcome'])
    await settled()
    expect(types(events())).toEqual(['welcome', 'message', 'message', 'message', 'message', 'synced'])
    const from = (sender: string) => seqs(events('message').filter(({ sender_id }) => sender_id === sender))
    expect(from('ann')).toEqual([2, 3])
    expect(from('cid')).toEqual([1, 2])
  })

  test('is told who it is and what the limits are', () => {
    const { connect, services, clock } = gatewayBench()
    expect(connect('bob').events()).toEqual([
      {
        type: 'welcome',
        user_id: 'bob',
        connection_id: "bob's",
        server_time: new Date(clock.now()).toISOString(),
        epoch: 'the first',
        protocol: 1,
        max_content_bytes: services.limits.maxContentBytes,
        heartbeat_seconds: services.limits.heartbeatSeconds,
      },
    ])
  })

  test('misses nothing that is committed after a page of its backlog was read, and sees it once', async () => {
    const { connect, connectLive, store } = gatewayBench()
    const ann = await connectLive('ann')
    await store.commit(toBob(150), [], 'fast')
    const { page } = store
    let pages = 0
    store.page = async (...args) => {
      const result = await page.apply(store, args)
      pages += 1
      if (pages > 4) return result
      ann.say({ type: 'send', receiver_id: 'bob', content: `live ${pages}` })
      await settled()
      return result
    }
    const bob = connect('bob')
    while (bob.events('synced').length === 0) await settled()
    ann.say({ type: 'send', receiver_id: 'bob', content: 'after' })
    await settled()
    expect(seqs(bob.events('message'))).toEqual(range(1, 155))
    expect(types(bob.events()).slice(-2)).toEqual(['synced', 'message'])
  })

  test('whose backlog cannot be read is closed, never called synced', async () => {
    const { connect, store, clock } = gatewayBench()
    store.failingReads = 5
    const { socket, events } = connect('bob')
    await clock.advance(10_000)
    expect(socket.closedBy).toBe('internal')
    expect(types(events())).toEqual(['welcome'])
  })

  test('is online until it is closed, and then gone from everywhere', async () => {
    const { connectLive, services, presence } = gatewayBench()
    const release = vi.fn()
    const { connection, socket } = await connectLive('bob', { place: { release } })
    expect(presence.online(10).users).toEqual(['bob'])
    expect(services.connections.size).toBe(1)
    expect(release).not.toHaveBeenCalled()
    socket.close('policy')
    connection.closed(1006)
    expect(presence.online(10).users).toEqual([])
    expect(services.connections.size).toBe(0)
    expect(services.connections.of('bob')).toEqual([])
    expect(release).toHaveBeenCalledTimes(1)
  })

  test('that closes watches nobody any more', async () => {
    const { connectLive, presence } = gatewayBench()
    const unwatch = vi.spyOn(presence, 'unwatch')
    const ann = await connectLive('ann')
    const other = await connectLive('cid')
    ann.say({ type: 'watch', user_ids: ['bob', 'dan', 'eve'] })
    ann.say({ type: 'unwatch', user_ids: ['eve'] })
    other.say({ type: 'watch', user_ids: ['dan'] })
    unwatch.mockClear()
    ann.socket.close('policy')
    expect(unwatch.mock.calls).toEqual([['bob']])
    other.socket.close('policy')
    expect(unwatch.mock.calls).toEqual([['bob'], ['dan']])
  })
})

describe('a frame', () => {
  test('of the wrong kind closes the connection as such', async () => {
    const { connectLive } = gatewayBench()
    const text = await connectLive('ann')
    text.connection.received(bytes('{"type":"ping"}'), true)
    expect(text.socket.closedBy).toBe('wrong_frame_kind')
    const binary = await connectLive('bob', { encoding: 'msgpack' })
    binary.connection.received(Uint8Array.from([0x80]), false)
    expect(binary.socket.closedBy).toBe('wrong_frame_kind')
  })

  test.each(['', '{', 'hello', '\ufeff'])(
    'that is no JSON, %j, is answered with an example where none was agreed',
    async (text) => {
      const { connect } = gatewayBench()
      const { connection, socket, events } = connect('bob', { implicit: true })
      connection.received(bytes(text), false)
      await settled()
      expect(socket.closedBy).toBeUndefined()
      const [error = {}] = events('error')
      const { message } = error as { message?: string }
      expect(error).toEqual({
        type: 'error',
        code: 'invalid_json',
        message: expect.stringMatching(/such as \{.*\}\.$/),
      })
      connection.received(bytes(/\{.*\}/.exec(message ?? '')?.[0] ?? ''), false)
      await settled()
      expect(events('sent')).toHaveLength(1)
    },
  )

  test('that is not JSON counts as a command, so nobody can send it without end', async () => {
    const { connect, services } = gatewayBench()
    const counted: string[] = []
    Object.assign(services.guard, { command: (user: string) => counted.push(user) && 1 })
    const { connection, socket, events } = connect('bob', { implicit: true })
    for (let count = 0; count < 1001; count += 1) connection.received(bytes('hello'), false)
    await settled()
    expect(counted).toHaveLength(1001)
    expect(events('error')[0]).toMatchObject({ code: 'rate_limited' })
    expect(socket.closedBy).toBe('rate_limited')
  })

  test('with two fields of one name is refused by that name, and the connection stays', async () => {
    const { connectLive } = gatewayBench()
    const { connection, socket, events } = await connectLive('bob')
    connection.received(
      bytes('{"type":"send","receiver_id":"ann","receiver_id":"victim","content":"x","ref":7}'),
      false,
    )
    await settled()
    expect(events('error')).toEqual([
      { type: 'error', ref: 7, code: 'invalid_request', message: expect.any(String), field: 'receiver_id' },
    ])
    expect(socket.closedBy).toBeUndefined()
  })

  test.each(['', '{', 'hello', '\ufeff'])('that is no JSON, %j, closes as undecodable', async (text) => {
    const { connectLive } = gatewayBench()
    const { connection, socket } = await connectLive('ann')
    connection.received(bytes(text), false)
    expect(socket.closedBy).toBe('undecodable')
  })

  test('over the limit closes as too large, at the limit it is read', async () => {
    const { connectLive } = gatewayBench()
    const frame = bytes(`{"type":"ping","ref":"${'x'.repeat(MAX_FRAME_BYTES - 24)}"}`)
    expect(frame.length).toBe(MAX_FRAME_BYTES)
    const { connection, socket, events } = await connectLive('ann')
    connection.received(frame, false)
    expect(types(events())).toEqual(['pong'])
    connection.received(new Uint8Array(MAX_FRAME_BYTES + 1), false)
    expect(socket.closedBy).toBe('too_large')
  })

  test('that is no command is answered with an error, and the connection stays', async () => {
    const { connectLive } = gatewayBench()
    const { say, socket, events } = await connectLive('ann')
    say([1])
    say({ type: 'nonsense', ref: 'r' })
    say({ type: 'send', receiver_id: 'bob', content: 'x'.repeat(1001), id: ID, ref: 7 })
    say({ receiver_id: 'bob', content: 'x' })
    say({ type: 'auth', token: 't', ref: 1 })
    say({ type: 'ping', ref: 'last' })
    expect(events()).toMatchObject([
      { type: 'error', code: 'invalid_request' },
      { type: 'error', code: 'invalid_request', ref: 'r' },
      { type: 'error', code: 'payload_too_large', ref: 7, id: ID, field: 'content' },
      { type: 'error', code: 'invalid_request', field: 'type' },
      { type: 'error', code: 'invalid_request', ref: 1 },
      { type: 'pong', ref: 'last' },
    ])
    expect(socket.closedBy).toBeUndefined()
  })

  test('after the close changes nothing', async () => {
    const { connectLive, store } = gatewayBench()
    const { say, socket, events } = await connectLive('ann')
    socket.close('policy')
    say({ type: 'ping' })
    await settled()
    expect(events()).toEqual([])
    expect(store.calls).toEqual([])
  })
})

describe('a send', () => {
  test('is answered after the commit, and pushed to the receiver and the other devices of the sender', async () => {
    const { connectLive, store } = gatewayBench()
    const ann = await connectLive('ann')
    const laptop = await connectLive('ann', { encoding: 'msgpack' })
    const bob = await connectLive('bob')
    store.outcomes.push('hang')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'hi', id: ID.toUpperCase(), ref: 'r' })
    await settled()
    expect([ann, laptop, bob].flatMap(({ events }) => events())).toEqual([])
    store.release()
    await settled()
    expect(ann.events()).toMatchObject([{ type: 'sent', ref: 'r', id: ID, seq: 1, with: 'bob', duplicate: false }])
    const push = { type: 'message', id: ID, seq: 1, sender_id: 'ann', receiver_id: 'bob', content: 'hi' }
    expect(bob.events()).toMatchObject([push])
    expect(laptop.events()).toEqual(bob.events())
  })

  test('is answered with its first outcome when it comes again, and pushed no more', async () => {
    const { connectLive } = gatewayBench()
    const ann = await connectLive('ann')
    const bob = await connectLive('bob')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'hi', id: ID })
    await settled()
    ann.say({ type: 'send', receiver_id: 'bob', content: 'hi', id: ID, ref: 1 })
    ann.say({ type: 'send', receiver_id: 'bob', content: 'other', id: ID, ref: 2 })
    await settled()
    expect(ann.events()).toMatchObject([
      { type: 'sent', seq: 1, duplicate: false },
      { type: 'sent', seq: 1, duplicate: true, ref: 1 },
      { type: 'error', code: 'id_conflict', ref: 2, id: ID },
    ])
    expect(bob.events('message')).toHaveLength(1)
  })

  test('to oneself is answered once and pushed to the other device once', async () => {
    const { connectLive } = gatewayBench()
    const one = await connectLive('ann')
    const other = await connectLive('ann')
    one.say({ type: 'send', receiver_id: 'ann', content: 'note' })
    await settled()
    expect(types(one.events('sent', 'message'))).toEqual(['sent'])
    expect(types(other.events('sent', 'message'))).toEqual(['message'])
  })

  test('is the 257th in flight and refused, until others are answered', async () => {
    const { connectLive, store } = gatewayBench()
    const { say, events } = await connectLive('ann')
    store.outcomes.push('hang')
    for (let ref = 1; ref <= 257; ref += 1) say({ type: 'send', receiver_id: 'bob', content: 'x', ref, id: idOf(ref) })
    expect(events()).toMatchObject([{ type: 'error', code: 'too_many_in_flight', ref: 257, id: idOf(257) }])
    expect(events()[0]).toHaveProperty('retry_after_ms')
    await settled()
    store.release()
    await settled()
    expect(events('sent').map(({ ref }) => ref)).toEqual(range(1, 256))
    say({ type: 'send', receiver_id: 'bob', content: 'x', ref: 'again' })
    await settled()
    expect(events().at(-1)).toMatchObject({ type: 'sent', ref: 'again', seq: 257 })
  })

  test('beyond those in flight, 256 times in a row, closes at the next; what was accepted before is stored', async () => {
    const { connectLive, store } = gatewayBench()
    const { say, events, socket, connection } = await connectLive('ann')
    const bob = await connectLive('bob')
    store.outcomes.push('hang')
    const flood = (count: number) => {
      for (let left = count; left > 0; left -= 1) say({ type: 'send', receiver_id: 'bob', content: 'x' })
    }
    flood(512)
    expect(events('error')).toHaveLength(256)
    expect(socket.closedBy).toBeUndefined()
    flood(1)
    expect(events('error')).toHaveLength(256)
    expect(socket.closedBy).toBe('rate_limited')
    await settled()
    store.release()
    await settled()
    expect(seqs(bob.events('message'))).toEqual(range(1, 256))
    expect(connection.sendsInFlight).toBe(0)
  })

  test.each([
    ['stored', 'hang'],
    ['refused', 'aborted'],
  ] as const)('beyond those in flight counts anew once one of them is %s', async (_, outcome) => {
    const { connectLive, store, clock } = gatewayBench()
    const { say, socket, events } = await connectLive('ann')
    for (let turn = 1; turn <= 4; turn += 1) {
      store.outcomes.push(...Array<typeof outcome>(outcome === 'hang' ? 1 : 100).fill(outcome))
      for (let left = 512; left > 0; left -= 1) say({ type: 'send', receiver_id: 'bob', content: 'x' })
      await settled()
      if (outcome === 'hang') store.release()
      await clock.advance(5000)
      store.outcomes.length = 0
      expect(events('sent').length + events('error').length).toBe(turn * 512)
    }
    expect(socket.closedBy).toBeUndefined()
  })

  test('that cannot be stored is refused with its ref, and can be sent again', async () => {
    const { connectLive, store, clock } = gatewayBench()
    const { say, events, connection } = await connectLive('ann')
    store.outcomes.push(...Array<'aborted'>(100).fill('aborted'))
    say({ type: 'send', receiver_id: 'bob', content: 'x', ref: 'r', id: ID })
    await clock.advance(5000)
    expect(events()).toMatchObject([{ type: 'error', code: 'unavailable', ref: 'r', id: ID, retry_after_ms: 1000 }])
    expect(connection.sendsInFlight).toBe(0)
    store.outcomes.length = 0
    say({ type: 'send', receiver_id: 'bob', content: 'x', ref: 'r', id: ID })
    await clock.advance(5000)
    expect(events().at(-1)).toMatchObject({ type: 'sent', ref: 'r', seq: 1, duplicate: false })
  })

  test('of a connection that closed is stored all the same', async () => {
    const { connectLive } = gatewayBench()
    const ann = await connectLive('ann')
    const bob = await connectLive('bob')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'x' })
    ann.socket.close('policy')
    await settled()
    expect(ann.events()).toEqual([])
    expect(bob.events('message')).toHaveLength(1)
  })
})

describe('commands that read', () => {
  test('see what the same connection sent before', async () => {
    const { connectLive } = gatewayBench()
    const { say, events } = await connectLive('ann')
    say({ type: 'send', receiver_id: 'bob', content: 'x' })
    say({ type: 'history', with: 'bob', ref: 1 })
    say({ type: 'conversations', ref: 2 })
    say({ type: 'sync', ref: 3 })
    await settled()
    expect(events('sent', 'history', 'conversations', 'sync')).toMatchObject([
      { type: 'sent', seq: 1 },
      { type: 'history', ref: 1, with: 'bob', messages: [{ seq: 1 }], has_more: false },
      { type: 'conversations', ref: 2, conversations: [{ with: 'bob', last_seq: 1 }], next_cursor: null },
      { type: 'sync', ref: 3, changed: [{ with: 'bob', last_seq: 1 }] },
    ])
  })

  test.each([
    { type: 'history', with: 'bob' },
    { type: 'conversations' },
    { type: 'sync' },
    { type: 'ack', with: 'bob', seq: 1 },
  ])('answer unavailable with their ref when the store cannot be read: $type', async (command) => {
    const { connectLive, store } = gatewayBench()
    const { say, events, socket } = await connectLive('ann')
    store.failingReads = 1
    say({ ...command, ref: 'r' })
    await settled()
    expect(events()).toMatchObject([{ type: 'error', code: 'unavailable', ref: 'r', retry_after_ms: 1000 }])
    expect(socket.closedBy).toBeUndefined()
  })

  test('answer with their ref when one connection watches too many', async () => {
    const { connectLive } = gatewayBench()
    const { say, events } = await connectLive('ann')
    for (let from = 0; from < MAX_WATCHED; from += MAX_WATCHED_PER_COMMAND) {
      const user_ids = Array.from({ length: MAX_WATCHED_PER_COMMAND }, (_, index) => `user${from + index}`)
      say({ type: 'watch', user_ids })
    }
    say({ type: 'watch', user_ids: ['one-more'], ref: 'r' })
    await settled()
    expect(events('error')).toMatchObject([{ code: 'invalid_request', field: 'user_ids', ref: 'r' }])
  })

  test('answer with their ref when all together watch too many, and nobody is watched more', async () => {
    const { connectLive } = gatewayBench(({ clock }) => {
      const presence = new MemoryPresence(clock)
      const announce = (): undefined => undefined
      return { watches: new PresenceWatches({ presence, clock, graceMs: 5000, maxWatched: 1, announce }) }
    })
    const ann = await connectLive('ann')
    const bob = await connectLive('bob')
    ann.say({ type: 'watch', user_ids: ['dan'] })
    bob.say({ type: 'watch', user_ids: ['dan', 'eve'], ref: 'r' })
    bob.say({ type: 'watch', user_ids: ['dan'] })
    await settled()
    expect(bob.events()).toMatchObject([
      { type: 'error', code: 'overloaded', ref: 'r' },
      { type: 'presence', user_id: 'dan' },
    ])
  })

  test('answer internal with their ref when there is a bug', async () => {
    const { connectLive, store } = gatewayBench()
    const { say, events, socket } = await connectLive('ann')
    store.page = () => Promise.reject(new TypeError('a bug'))
    say({ type: 'history', with: 'bob', ref: 'r' })
    await settled()
    expect(events()).toMatchObject([{ type: 'error', code: 'internal', ref: 'r' }])
    expect(JSON.stringify(events())).not.toContain('a bug')
    expect(socket.closedBy).toBeUndefined()
  })
})

function idOf(number: number): string {
  return `0190b6f1-0000-7000-8000-${String(number).padStart(12, '0')}`
}
