import { describe, expect, test } from 'vitest'
import { EncodedEvent } from '../../../src/delivery/encoded.ts'
import { pendingMessage } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { type ConnectOptions, gatewayBench } from '../../support/gateway.ts'

const types = (events: readonly { type: string }[]) => events.map(({ type }) => type)
const seqs = (events: readonly { [field: string]: unknown }[]) => events.map(({ seq }) => seq)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

async function annAndBob(options: ConnectOptions = {}) {
  const bench = gatewayBench()
  const ann = await bench.connectLive('ann')
  const bob = await bench.connectLive('bob', options)
  const send = async (count: number) => {
    for (let index = 0; index < count; index += 1) ann.say({ type: 'send', receiver_id: 'bob', content: 'x' })
    await settled()
  }
  /** How far bob has acknowledged, once everything on its way is stored. */
  const acknowledged = async () => {
    await bench.clock.advance(50)
    return (await bench.store.changes('bob')).found.find((one) => one.with === 'ann')?.delivered_seq ?? 0
  }
  return { ...bench, ann, bob, send, acknowledged }
}

describe('acknowledgements', () => {
  test('move the position and tell the sender, without a reply', async () => {
    const { ann, bob, send, acknowledged } = await annAndBob()
    await send(3)
    bob.socket.events.length = 0
    bob.say({ type: 'ack', with: 'ann', seq: 2 })
    expect(await acknowledged()).toBe(2)
    bob.say({ type: 'read', with: 'ann', seq: 3 })
    expect(await acknowledged()).toBe(3)
    expect(bob.events()).toEqual([])
    expect(ann.events('receipt')).toEqual([
      { type: 'receipt', with: 'bob', delivered_seq: 2, read_seq: 0 },
      { type: 'receipt', with: 'bob', delivered_seq: 3, read_seq: 3 },
    ])
  })

  test('above the head are refused, lower ones change nothing', async () => {
    const { bob, send, acknowledged } = await annAndBob()
    await send(3)
    bob.say({ type: 'ack', with: 'ann', seq: 3 })
    bob.say({ type: 'ack', with: 'ann', seq: 1 })
    bob.say({ type: 'ack', with: 'ann', seq: 4, ref: 'r' })
    bob.say({ type: 'read', with: 'nobody', seq: 1, ref: 's' })
    expect(await acknowledged()).toBe(3)
    expect(bob.events('error')).toMatchObject([
      { code: 'invalid_ack', ref: 'r' },
      { code: 'invalid_ack', ref: 's' },
    ])
  })
})

describe('a client without a subprotocol', () => {
  test('need not say that a bare frame is a send', async () => {
    const { bob } = await annAndBob({ implicit: true })
    bob.say({ receiver_id: 'ann', content: 'hi', ref: 1 })
    await settled()
    expect(bob.events('sent')).toMatchObject([{ ref: 1, with: 'ann', seq: 1 }])
  })

  test('has acknowledged what has left this process', async () => {
    const { send, acknowledged } = await annAndBob({ implicit: true })
    await send(3)
    expect(await acknowledged()).toBe(3)
  })

  test('has acknowledged a backlog that has left this process', async () => {
    const bench = gatewayBench()
    await bench.store.commit(
      Array.from({ length: 250 }, () => pendingMessage('ann', 'bob')),
      [],
      'fast',
    )
    const { events } = bench.connect('bob', { implicit: true })
    await bench.clock.advance(100)
    expect(seqs(events('message'))).toEqual(range(1, 250))
    expect((await bench.store.backlog('bob')).found).toEqual([])
  })

  test('has not acknowledged what is still in this process when the socket dies', async () => {
    const { bob, send, acknowledged } = await annAndBob({ implicit: true })
    await send(2)
    bob.socket.bufferedBytes = 100
    await send(3)
    expect(seqs(bob.events('message'))).toEqual(range(1, 5))
    bob.socket.close('internal')
    expect(await acknowledged()).toBe(2)
  })

  test('has acknowledged it once it has left', async () => {
    const { bob, send, acknowledged } = await annAndBob({ implicit: true })
    bob.socket.bufferedBytes = 100
    await send(3)
    expect(await acknowledged()).toBe(0)
    bob.socket.drain()
    expect(await acknowledged()).toBe(3)
  })

  test('has not acknowledged what was dropped, although something else has left since', async () => {
    const { bob, send, store, acknowledged } = await annAndBob({ implicit: true })
    await send(2)
    expect(await acknowledged()).toBe(2)
    bob.socket.bufferedBytes = 100
    await send(1)
    bob.socket.dropping = true
    // Nothing can be replayed: the drop is all there is.
    store.page = () => new Promise(() => undefined)
    await send(1)
    bob.socket.drain()
    expect(await acknowledged()).toBe(3)
  })

  test.each([
    ['is live', true],
    ['is being replayed to', false],
  ])('that %s is brought what a push has passed over, before both count as acknowledged', async (_state, isLive) => {
    const { bob, store, clock, acknowledged } = await annAndBob({ implicit: true })
    if (!isLive) bob.connection.replayFrom('dan', 1)
    // Of another instance, of which pushes did not come. Cid's may have been pushed, and not be acknowledged yet.
    const lost = [pendingMessage('ann', 'bob'), pendingMessage('cid', 'bob'), pendingMessage('ann', 'bob')]
    await store.commit(lost, [], 'fast')
    const message = { seq: 2, sender_id: 'ann', receiver_id: 'bob', id: 'x', content: 'x', created_at: '' }
    bob.connection.mayLackBelow('ann')
    bob.connection.message(message, new EncodedEvent({ type: 'message', ...message }))
    expect(bob.events('message')).toEqual([])
    await clock.advance(50)
    expect(seqs(bob.events('message'))).toEqual([1, 2])
    expect(await acknowledged()).toBe(2)
  })

  test('is brought what was lost before a message that it sends itself', async () => {
    const { bob, store, writer, acknowledged, clock } = await annAndBob({ implicit: true })
    await store.commit([pendingMessage('ann', 'bob')], [], 'fast')
    store.outcomes.push('hang')
    bob.say({ receiver_id: 'ann', content: 'hi' })
    await settled()
    // As the fan-out of a cluster announces it.
    bob.connection.mayLackBelow('ann')
    store.release()
    await writer.allSettled()
    await clock.advance(50)
    expect(bob.events('message', 'sent')).toMatchObject([
      { type: 'sent', seq: 2 },
      { type: 'message', seq: 1, sender_id: 'ann' },
    ])
    expect(await acknowledged()).toBe(1)
  })

  test('with a subprotocol acknowledges itself', async () => {
    const { send, acknowledged } = await annAndBob()
    await send(3)
    expect(await acknowledged()).toBe(0)
  })
})

describe('a slow reader', () => {
  test('whose buffer is full lags, and gets everything in order when it reads again', async () => {
    const { bob, send } = await annAndBob()
    await send(2)
    bob.socket.bufferedBytes = 10_001
    await send(3)
    expect(types(bob.events())).toEqual(['message', 'message', 'lagging'])
    expect(bob.events('lagging')).toEqual([{ type: 'lagging', with: 'ann' }])
    bob.socket.drain()
    await settled()
    await send(1)
    expect(seqs(bob.events('message'))).toEqual(range(1, 6))
    expect(types(bob.events()).filter((type) => type === 'lagging')).toHaveLength(1)
  })

  test('does not make the sender or another receiver wait', async () => {
    const { bob, ann, connectLive, send } = await annAndBob()
    const phone = await connectLive('bob')
    bob.socket.bufferedBytes = 10_001
    await send(3)
    expect(seqs(phone.events('message'))).toEqual(range(1, 3))
    expect(ann.events('sent')).toHaveLength(3)
  })

  test('whose frames were dropped by the transport gets them again', async () => {
    const { bob, send } = await annAndBob()
    await send(1)
    bob.socket.bufferedBytes = 100
    bob.socket.dropping = true
    bob.connection.message({ seq: 2, sender_id: 'ann', receiver_id: 'bob' }, new EncodedEvent('{"type":"lost"}'))
    bob.socket.dropping = false
    await send(3)
    bob.socket.drain()
    await settled()
    expect(seqs(bob.events('message'))).toEqual(range(1, 4))
    expect(types(bob.events())).toContain('lagging')
  })

  test('that reads nothing is closed after the limit, and its other devices are not', async () => {
    const { bob, send, clock, services, connectLive } = await annAndBob()
    const phone = await connectLive('bob')
    bob.socket.bufferedBytes = 10_001
    await send(1)
    await clock.advance(services.limits.laggingTimeoutMs - 100)
    expect(bob.socket.closedBy).toBeUndefined()
    await clock.advance(200)
    expect(bob.socket.closedBy).toBe('slow_consumer')
    expect(phone.socket.closedBy).toBeUndefined()
  })

  test('is not closed while it reads, although more and more waits because it goes on asking', async () => {
    const { bob, send, clock } = await annAndBob()
    bob.socket.bufferedBytes = 10_001
    await send(1)
    for (let seconds = 0; seconds < 300; seconds += 10) {
      bob.socket.bufferedBytes += 1_000
      bob.socket.progress += 1
      await clock.advance(10_000)
    }
    expect(bob.socket.closedBy).toBeUndefined()
    await clock.advance(30_000)
    expect(bob.socket.closedBy).toBe('slow_consumer')
  })

  test('is not closed when it has read in time', async () => {
    const { bob, send, clock } = await annAndBob()
    bob.socket.bufferedBytes = 10_001
    await send(1)
    await clock.advance(29_000)
    bob.socket.drain()
    await clock.advance(120_000)
    expect(bob.socket.closedBy).toBeUndefined()
    expect(seqs(bob.events('message'))).toEqual([1])
  })

  test('that lost a reply is closed: a reply cannot be replayed', async () => {
    const { bob } = await annAndBob()
    bob.socket.dropping = true
    bob.say({ type: 'ping' })
    await settled()
    expect(bob.socket.closedBy).toBe('slow_consumer')
  })

  test('that closes while a page is read teaches nothing by it: another line of history may have begun', async () => {
    const { store, services, connect } = gatewayBench()
    await store.commit([pendingMessage('ann', 'bob')], [], 'fast')
    const bob = connect('bob')
    const page = store.page.bind(store)
    store.page = async (conversation, request) => {
      const found = await page(conversation, request)
      bob.socket.close('restart')
      return found
    }
    await settled()
    expect(bob.socket.closedBy).toBe('restart')
    expect(services.messages.isKnownSeq('bob', 'ann', 1)).toBe(false)
  })

  test('that cannot be replayed to is closed, never left with a hole', async () => {
    const { bob, send, store, clock } = await annAndBob()
    bob.socket.bufferedBytes = 10_001
    await send(1)
    store.failingReads = 5
    bob.socket.drain()
    await clock.advance(10_000)
    expect(bob.socket.closedBy).toBe('internal')
  })
})

describe('typing', () => {
  test('reaches the receiver and nobody else', async () => {
    const { ann, bob } = await annAndBob()
    ann.say({ type: 'typing', receiver_id: 'bob' })
    expect(bob.events()).toEqual([{ type: 'typing', sender_id: 'ann', active: true }])
    expect(ann.events()).toEqual([])
  })

  test('is the first to be shed by a socket that lags', async () => {
    const { ann, bob } = await annAndBob()
    bob.socket.bufferedBytes = 10_001
    ann.say({ type: 'typing', receiver_id: 'bob' })
    expect(bob.events()).toEqual([])
  })
})

test('a frame of another instance that is no JSON ends nothing: an event is left out, a message is read from the store', async () => {
  const { bob, store } = await annAndBob({ encoding: 'msgpack' })
  await store.commit([pendingMessage('ann', 'bob')], [], 'fast')
  const broken = new EncodedEvent('{"type":"message"')
  bob.connection.event(broken)
  expect(bob.events()).toEqual([])
  bob.connection.message({ seq: 1, sender_id: 'ann', receiver_id: 'bob' }, broken)
  await settled()
  expect(bob.events('message')).toMatchObject([{ seq: 1, sender_id: 'ann' }])
})
