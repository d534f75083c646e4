// What a replay has brought to a socket is neither pushed nor replayed to it again, and nothing else is held back.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EncodedEvent } from '../../../src/delivery/encoded.ts'
import type { PageRequest } from '../../../src/messages/store.ts'
import { pendingMessage, positionChange, queuedSend } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** Bob has acknowledged a part of what ann wrote, then connects and is brought the rest. */
async function caughtUp({ stored = 40, acknowledged = 29 } = {}) {
  const bench = gatewayBench()
  const { store } = bench
  const commit = (count: number, from = 'ann') =>
    store.commit(
      Array.from({ length: count }, () => pendingMessage(from, 'bob')),
      [],
      'fast',
    )
  await commit(stored)
  await store.commit([], [positionChange('bob', 'ann', { delivered: acknowledged })], 'fast')
  /** Where the pages began that were read since. */
  const read: number[] = []
  const { page } = store
  store.page = (conversation, request: PageRequest) => {
    read.push((request.after ?? 0) + 1)
    return page.call(store, conversation, request)
  }
  const bob = bench.connect('bob')
  await settled()
  const place = (seq: number) => ({ seq, sender_id: 'ann', receiver_id: 'bob' })
  const push = (seq: number) => {
    const message = { ...place(seq), id: `push ${seq}`, content: 'x', created_at: '' }
    bob.connection.message(message, new EncodedEvent({ type: 'message', ...message }))
  }
  /** Seqs of ann's that came since the last look. */
  const arrived = async () => {
    await settled()
    return bob.socket.events.splice(0).flatMap(({ type, sender_id, seq }) => {
      return type === 'message' && sender_id === 'ann' ? [Number(seq)] : []
    })
  }
  expect(await arrived()).toEqual(range(acknowledged + 1, stored))
  read.length = 0
  return { ...bench, bob, commit, place, push, arrived, read }
}

describe('a push that comes late', () => {
  test('from below what was replayed is written', async () => {
    const { push, arrived } = await caughtUp()
    push(28)
    push(29)
    expect(await arrived()).toEqual([28, 29])
  })

  test('from within what was replayed is not, and what follows is', async () => {
    const { push, arrived, commit } = await caughtUp()
    await commit(1)
    for (const seq of [30, 35, 40, 41]) push(seq)
    expect(await arrived()).toEqual([41])
  })

  test('from below what the replay under way has written comes with that replay, which repeats nothing', async () => {
    const { bob, push, arrived, commit, store } = await caughtUp()
    await commit(1)
    await commit(1, 'cid')
    const { page } = store
    let announce = (): void => {
      announce = () => undefined
      push(28)
      push(35)
      push(41)
    }
    store.page = async (conversation, request) => {
      const result = await page.call(store, conversation, request)
      // Ann's page was written before: it is cid's that is being read.
      if (conversation.hi === 'cid') announce()
      return result
    }
    bob.connection.replayFrom('ann', 41)
    bob.connection.replayFrom('cid', 1)
    expect(await arrived()).toEqual([41, 28, 29])
  })
})

describe('healing', () => {
  test('from within what was replayed begins behind it', async () => {
    const { bob, arrived, commit, read } = await caughtUp()
    bob.connection.replayFrom('ann', 33)
    expect(await arrived()).toEqual([])
    await commit(2)
    bob.connection.replayFrom('ann', 30)
    expect(await arrived()).toEqual([41, 42])
    expect(read).toEqual([41, 41])
  })

  test('of a hole below a message that was sent here brings the hole alone', async () => {
    const { bob, arrived, commit, connect } = await caughtUp()
    const other = connect('bob')
    await arrived()
    other.socket.events.splice(0)
    await commit(2)
    // 41 was lost on its way, 42 was bob's own and waited for it.
    const replied = [{ seq: 42, asker: bob.connection }]
    const known = { head: 42, pushed: { from: 30, to: 40 }, replied }
    for (const { connection } of [bob, other]) connection.replayFrom('ann', 41, known)
    expect(await arrived()).toEqual([41])
    // Another connection of his did not send it.
    expect(other.socket.events.flatMap(({ type, seq }) => (type === 'message' ? [seq] : []))).toEqual([41, 42])
  })

  test('of a hole below a message that came late leaves it out', async () => {
    const bench = gatewayBench()
    const bob = bench.connect('bob')
    await settled()
    const asAnn = () => Array.from({ length: 5 }, () => pendingMessage('ann', 'bob'))
    await bench.store.commit(asAnn(), [], 'fast')
    const seqs = () => bob.socket.events.splice(0).flatMap(({ type, seq }) => (type === 'message' ? [seq] : []))
    for (const seq of [5, 3]) {
      const message = { seq, sender_id: 'ann', receiver_id: 'bob', id: `push ${seq}`, content: 'x', created_at: '' }
      bob.connection.message(message, new EncodedEvent({ type: 'message', ...message }))
    }
    bob.connection.replayFrom('ann', 1, { head: 5, pushed: { from: 5, to: 5 }, late: [3] })
    await settled()
    expect(seqs()).toEqual([5, 3, 1, 2, 4])
  })

  test('from below what was replayed begins there, and leaves out what was', async () => {
    const { bob, arrived, read } = await caughtUp()
    bob.connection.replayFrom('ann', 25)
    expect(await arrived()).toEqual(range(25, 29))
    expect(read).toEqual([25])
  })

  test('that meets what was replayed at the end of a page goes on behind it', async () => {
    const { bob, arrived, commit, read } = await caughtUp({ stored: 300, acknowledged: 99 })
    await commit(5)
    bob.connection.replayFrom('ann', 50)
    expect(await arrived()).toEqual([...range(50, 99), ...range(301, 305)])
    expect(read).toEqual([50, 301])
  })

  test('of one conversation does not forget what was replayed of another', async () => {
    const { bob, push, arrived, commit } = await caughtUp()
    await commit(1, 'cid')
    bob.connection.replayFrom('cid', 1)
    expect(await arrived()).toEqual([])
    push(35)
    bob.connection.replayFrom('ann', 35)
    expect(await arrived()).toEqual([])
  })

  test('relies on what was replayed for ten seconds after the last replay, and no longer', async () => {
    const { bob, arrived, clock, read } = await caughtUp()
    for (let looks = 0; looks < 3; looks += 1) {
      await clock.advance(9_000)
      bob.connection.replayFrom('ann', 33)
      expect(await arrived()).toEqual([])
    }
    await clock.advance(10_000)
    bob.connection.replayFrom('ann', 33)
    expect(await arrived()).toEqual(range(33, 40))
    expect(read).toEqual([41, 41, 41, 33])
  })
})

describe('a replayed message that was dropped on its way', () => {
  test('comes again with all that follows when that is noticed after the replay', async () => {
    const { bob, place, arrived, read } = await caughtUp()
    bob.connection.dropped(place(36))
    expect(await arrived()).toEqual(range(36, 40))
    bob.connection.dropped(place(20))
    expect(await arrived()).toEqual(range(20, 40))
    expect(read).toEqual([36, 20])
  })

  test('comes again with all that follows when that is noticed during the next replay', async () => {
    const { bob, place, arrived, commit } = await caughtUp()
    await commit(1)
    bob.connection.replayFrom('ann', 41)
    bob.connection.dropped(place(36))
    expect(await arrived()).toEqual(range(36, 41))
  })
})

describe('healing of a hole below what was pushed', () => {
  test('brings the hole alone', async () => {
    const { bob, push, arrived, commit, read } = await caughtUp()
    await commit(6)
    for (const seq of [44, 45, 46]) push(seq)
    expect(await arrived()).toEqual([44, 45, 46])
    bob.connection.replayFrom('ann', 30, { head: 46, pushed: { from: 44, to: 46 } })
    expect(await arrived()).toEqual([41, 42, 43])
    expect(read.length).toBe(1)
  })

  test('of a second conversation, found by the same look, leaves out what was pushed of it as well', async () => {
    const { bob, push, arrived, commit } = await caughtUp()
    await commit(5)
    await commit(1, 'cid')
    for (const seq of [43, 44, 45]) push(seq)
    bob.connection.replayFrom('cid', 1, { head: 1, pushed: undefined })
    bob.connection.replayFrom('ann', 41, { head: 45, pushed: { from: 43, to: 45 } })
    expect(await arrived()).toEqual([43, 44, 45, 41, 42])
  })

  test('reads nothing when all was written', async () => {
    const { bob, push, arrived, commit, read } = await caughtUp()
    await commit(2)
    for (const seq of [41, 42]) push(seq)
    bob.connection.replayFrom('ann', 30, { head: 42, pushed: { from: 41, to: 42 } })
    expect(await arrived()).toEqual([41, 42])
    expect(read).toEqual([])
  })

  test('counts nothing as written that was pushed to others while this connection was being replayed to', async () => {
    const { bob, push, arrived, commit } = await caughtUp()
    await commit(3)
    bob.connection.replayFrom('ann', 43)
    for (const seq of [41, 42, 43]) push(seq)
    bob.connection.replayFrom('ann', 30, { head: 43, pushed: { from: 41, to: 43 } })
    expect((await arrived()).sort((a, b) => a - b)).toEqual([41, 42, 43])
  })
})

test.each([
  ['before the page comes', true],
  ['after it', false],
])('a resend that is refused %s says nothing of what is stored: that is replayed', async (_when, isBefore) => {
  const { bob, store } = await caughtUp()
  const resend = { ...queuedSend({ from: 'bob', to: 'ann' }), refusal: 'unavailable' as const }
  await store.commit([pendingMessage('bob', 'ann', 'hi', resend.id)], [], 'fast')
  const { page } = store
  store.page = (conversation, request) => {
    store.page = page
    bob.connection.sending('ann', resend.id)
    if (isBefore) bob.connection.settled(resend)
    return page.call(store, conversation, request)
  }
  bob.connection.replayFrom('ann', 41)
  await settled()
  if (!isBefore) bob.connection.settled(resend)
  await settled()
  expect(bob.events('message')).toMatchObject([{ id: resend.id, seq: 41 }])
})

test('a resend that cannot even be queued says nothing of what is stored: that is replayed', async () => {
  const { bob, store, writer } = await caughtUp()
  const { id } = queuedSend()
  await store.commit([pendingMessage('bob', 'ann', 'hi', id)], [], 'fast')
  await writer.close(1000)
  const { page } = store
  store.page = (conversation, request) => {
    store.page = page
    bob.say({ type: 'send', receiver_id: 'ann', content: 'hi', id })
    return page.call(store, conversation, request)
  }
  bob.connection.replayFrom('ann', 41)
  await settled()
  expect(bob.events('error', 'message')).toMatchObject([
    { type: 'error', code: 'unavailable', id },
    { type: 'message', id, seq: 41 },
  ])
})

test('a send that was in flight when a replay began is told by its reply alone', async () => {
  const { bob, store } = await caughtUp()
  store.outcomes.push('hang')
  bob.say({ type: 'send', receiver_id: 'ann', content: 'x' })
  await settled()
  const { page } = store
  store.page = async (conversation, request) => {
    store.page = page
    store.release()
    await settled()
    return page.call(store, conversation, request)
  }
  bob.connection.replayFrom('ann', 41)
  await settled()
  await settled()
  expect(bob.events('sent', 'message')).toMatchObject([{ type: 'sent', seq: 41 }])
})

test('a message of the same id in another conversation is replayed', async () => {
  const { bob, store } = await caughtUp()
  const { id } = queuedSend()
  await store.commit([pendingMessage('cid', 'bob', 'hi', id)], [], 'fast')
  bob.connection.replayFrom('cid', 1)
  bob.say({ type: 'send', receiver_id: 'ann', content: 'x', id })
  await settled()
  expect(bob.events('sent', 'message')).toMatchObject([
    { type: 'message', id, sender_id: 'cid' },
    { type: 'sent', id, with: 'ann' },
  ])
})

test('a send of its own that the replay left out for its reply is not brought by healing either', async () => {
  const { bob, arrived, store, read } = await caughtUp()
  const { page } = store
  store.page = async (conversation, request) => {
    store.page = page
    bob.say({ type: 'send', receiver_id: 'ann', content: 'x' })
    await settled()
    return page.call(store, conversation, request)
  }
  bob.connection.replayFrom('ann', 41)
  await settled()
  expect(bob.events('sent', 'message')).toMatchObject([{ type: 'sent', seq: 41 }])
  bob.connection.replayFrom('ann', 41)
  await arrived()
  expect(bob.events('message')).toEqual([])
  expect(read).toEqual([41, 42])
})

test('whatever is pushed, healed and dropped, in whatever order, nothing that came to be known stays missing', async () => {
  const kinds = ['commit', 'push', 'replay', 'drop', 'look'] as const
  const plans = fc.array(fc.tuple(fc.constantFrom(...kinds), fc.integer({ min: 1, max: 320 })), { maxLength: 25 })
  await fc.assert(
    fc.asyncProperty(plans, fc.integer({ min: 0, max: 120 }), async (plan, acknowledged) => {
      const { bob, commit, push, arrived } = await caughtUp({ stored: 120, acknowledged })
      const shown = new Set(range(acknowledged + 1, 120))
      const due = new Set<number>()
      let head = 120
      let drops = 0
      const { send } = bob.socket
      bob.socket.send = (frame, message) => {
        bob.socket.dropping = message !== undefined && drops > 0
        if (bob.socket.dropping) drops -= 1
        send.call(bob.socket, frame, message)
        bob.socket.dropping = false
      }
      const look = async () => {
        for (const seq of await arrived()) shown.add(seq)
      }
      const steps = {
        commit: async (count: number) => {
          await commit(count % 130)
          head += count % 130
        },
        push: (seq: number) => {
          if (seq > head) return
          push(seq)
          due.add(seq)
        },
        replay: (from: number) => {
          bob.connection.replayFrom('ann', from)
          for (let seq = from; seq <= head; seq += 1) due.add(seq)
        },
        drop: (count: number) => {
          drops += count % 30
        },
        look,
      }
      for (const [kind, number] of plan) await steps[kind](number)
      await look()
      expect([...due].filter((seq) => !shown.has(seq))).toEqual([])
    }),
    { numRuns: 300 },
  )
})
