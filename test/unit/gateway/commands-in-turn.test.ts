import { describe, expect, test } from 'vitest'
import { pendingMessage } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

/** Somebody whose reads of pages do not end before `answer` is called; `asked` are those that reached the store. */
async function readerOfHangingPages() {
  const { connectLive, store, clock } = gatewayBench()
  const ann = await connectLive('ann')
  const { page } = store
  const asked: (() => void)[] = []
  store.page = async (...args) => {
    await new Promise<void>((resolve) => asked.push(resolve))
    return page.apply(store, args)
  }
  const read = (count: number) => {
    for (let ref = 1; ref <= count; ref += 1) ann.say({ type: 'history', with: 'bob', ref })
  }
  const answer = async () => {
    for (const resolve of asked.splice(0)) resolve()
    await settled()
  }
  return { ...ann, clock, asked, read, answer }
}

describe('commands that read', () => {
  test('wait for their turn beyond four of a connection, and are all answered', async () => {
    const { asked, read, answer, events } = await readerOfHangingPages()
    read(6)
    await settled()
    expect(asked).toHaveLength(4)
    await answer()
    expect(asked).toHaveLength(2)
    await answer()
    expect(events('history').map(({ ref }) => ref)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('are refused beyond 256 that wait', async () => {
    const { read, events } = await readerOfHangingPages()
    read(261)
    expect(events()).toMatchObject([{ type: 'error', code: 'too_many_in_flight', ref: 261 }])
  })

  test('are refused that waited for two seconds, and those under way still answered', async () => {
    const { read, answer, events, clock } = await readerOfHangingPages()
    read(6)
    await clock.advance(1_999)
    expect(events()).toEqual([])
    await clock.advance(1)
    expect(events()).toMatchObject([5, 6].map((ref) => ({ type: 'error', code: 'unavailable', ref })))
    await answer()
    expect(events('history').map(({ ref }) => ref)).toEqual([1, 2, 3, 4])
    read(1)
    await settled()
    await answer()
    expect(events('history')).toHaveLength(5)
  })

  test('and have not begun are not done for a client that has gone', async () => {
    const { asked, read, answer, socket } = await readerOfHangingPages()
    read(6)
    await settled()
    socket.close('policy')
    await answer()
    expect(asked).toEqual([])
  })
})

describe('acknowledgements', () => {
  test.each([
    ['while it waits for its turn', 0],
    ['never', 1],
  ])(
    'count in the line of history in which the client was welcomed alone (another begins %s)',
    async (when, read_seq) => {
      const { connectLive, store, heads, services } = gatewayBench()
      await store.commit([pendingMessage('bob', 'ann')], [], 'fast')
      const ann = await connectLive('ann')
      heads.doubt()
      const answers: (() => void)[] = []
      store.page = () => new Promise((resolve) => answers.push(() => resolve({ messages: [], hasMore: false })))
      for (let ref = 1; ref <= 4; ref += 1) ann.say({ type: 'history', with: 'bob', ref })
      ann.say({ type: 'read', with: 'bob', seq: 1 })
      await settled()
      if (when !== 'never') heads.forget()
      for (const answer of answers) answer()
      await settled()
      await services.messages.allSettled()
      expect((await store.changes('ann')).found).toMatchObject([{ with: 'bob', read_seq }])
    },
  )

  test('by what has left this process, too', async () => {
    const { connectLive, store, heads, writer } = gatewayBench()
    const ann = await connectLive('ann', { implicit: true, socket: { bufferedBytes: 1 } })
    const bob = await connectLive('bob')
    bob.say({ type: 'send', receiver_id: 'ann', content: 'x' })
    await settled()
    expect(ann.events('message')).toHaveLength(1)
    heads.forget()
    ann.socket.drain()
    await writer.allSettled()
    expect((await store.changes('ann')).found).toMatchObject([{ with: 'bob', delivered_seq: 0 }])
  })

  test('of what the same client sent just before wait for its commit', async () => {
    const { connectLive, clock, store } = gatewayBench()
    const ann = await connectLive('ann')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'x', ref: 'sent' })
    ann.say({ type: 'read', with: 'bob', seq: 1, ref: 'read' })
    await clock.advance(50)
    expect(ann.events()).toMatchObject([{ type: 'sent', ref: 'sent', seq: 1 }])
    expect((await store.changes('ann')).found).toMatchObject([{ with: 'bob', read_seq: 1 }])
  })

  test('that have to be looked up are answered before a drain closes', async () => {
    const { connectLive, services, store } = gatewayBench()
    const ann = await connectLive('ann')
    let answer = (_head: number): void => undefined
    store.lastSeq = () => new Promise((resolve) => (answer = resolve))
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    const answered = Promise.all(services.answersUnderWay)
    store.lastSeq = () => Promise.resolve(0)
    answer(0)
    await answered
    expect(ann.events()).toMatchObject([{ type: 'error', code: 'invalid_ack' }])
    expect(services.answersUnderWay.size).toBe(0)
  })

  test('that came after a read are not waited for by it: they may wait behind it', async () => {
    const { connectLive, store } = gatewayBench()
    const ann = await connectLive('ann')
    const heads: (() => void)[] = []
    store.lastSeq = () => new Promise((resolve) => heads.push(() => resolve(9)))
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    for (let ref = 1; ref <= 7; ref += 1) ann.say({ type: 'history', with: 'bob', ref })
    ann.say({ type: 'ack', with: 'cid', seq: 1 })
    heads.shift()?.()
    await settled()
    expect(ann.events('history').map(({ ref }) => ref)).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('of what a replay has brought need no look at the store', async () => {
    const { connect, store, clock } = gatewayBench()
    await store.commit([pendingMessage('ann', 'bob')], [], 'fast')
    const bob = connect('bob')
    await settled()
    store.lastSeq = () => Promise.reject(new TypeError('nobody needs to ask'))
    bob.say({ type: 'ack', with: 'ann', seq: 1 })
    await clock.advance(50)
    expect(bob.events('error')).toEqual([])
    expect((await store.backlog('bob')).found).toEqual([])
  })

  test('that come while a read waits for earlier ones are waited for by the next read', async () => {
    const { connectLive, store } = gatewayBench()
    await store.commit([pendingMessage('bob', 'ann'), pendingMessage('bob', 'ann')], [], 'fast')
    const ann = await connectLive('ann')
    store.outcomes.push('hang', 'hang')
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    ann.say({ type: 'conversations', ref: 1 })
    await settled()
    ann.say({ type: 'ack', with: 'bob', seq: 2 })
    store.release()
    await settled()
    ann.say({ type: 'conversations', ref: 2 })
    await settled()
    const listed = () => ann.events('conversations').map(({ ref, conversations }) => [ref, conversations])
    expect(listed()).toMatchObject([[1, [{ delivered_seq: 1 }]]])
    store.release()
    await settled()
    expect(listed()).toMatchObject([
      [1, [{ delivered_seq: 1 }]],
      [2, [{ delivered_seq: 2 }]],
    ])
  })

  test('leave nothing behind, however many there are', async () => {
    const { connectLive } = gatewayBench()
    const ann = await connectLive('ann')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'x' })
    await settled()
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    expect(ann.connection.advancing).toEqual({ looks: undefined })
    ann.say({ type: 'history', with: 'bob' })
    await settled()
    expect(ann.connection.advancing).toBeUndefined()
  })
})

test('what changed since a time is looked for from ten seconds before, longer than a transaction may live', async () => {
  const { connectLive, store } = gatewayBench()
  const ann = await connectLive('ann')
  const asked: unknown[] = []
  const changes = store.changes.bind(store)
  store.changes = (user, sinceMs) => {
    asked.push(sinceMs)
    return changes(user, sinceMs)
  }
  ann.say({ type: 'sync', since: '2026-01-01T00:00:30.000Z' })
  await settled()
  expect(asked).toEqual([Date.parse('2026-01-01T00:00:20.000Z')])
})
