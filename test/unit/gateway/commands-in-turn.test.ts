import { describe, expect, test } from 'vitest'
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
  test('of what the same client sent just before wait for its commit', async () => {
    const { connectLive, clock, store } = gatewayBench()
    const ann = await connectLive('ann')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'x', ref: 'sent' })
    ann.say({ type: 'read', with: 'bob', seq: 1, ref: 'read' })
    await clock.advance(50)
    expect(ann.events()).toMatchObject([{ type: 'sent', ref: 'sent', seq: 1 }])
    expect(await store.changes('ann')).toMatchObject([{ with: 'bob', read_seq: 1 }])
  })

  test('leave nothing behind, however many there are', async () => {
    const { connectLive } = gatewayBench()
    const ann = await connectLive('ann')
    ann.say({ type: 'send', receiver_id: 'bob', content: 'x' })
    await settled()
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    ann.say({ type: 'ack', with: 'bob', seq: 1 })
    expect(await ann.connection.moving).toBeUndefined()
  })
})
