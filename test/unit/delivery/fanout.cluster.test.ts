import { beforeEach, describe, expect, test } from 'vitest'
import { type MemoryBroker, MemoryBrokerHub } from '../../../src/delivery/broker.memory.ts'
import { Continuity } from '../../../src/delivery/continuity.ts'
import { EncodedEvent } from '../../../src/delivery/encoded.ts'
import { ClusterFanout } from '../../../src/delivery/fanout.cluster.ts'
import { LocalUsers } from '../../../src/delivery/local-users.ts'
import type { Recipient } from '../../../src/delivery/recipient.ts'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { CODECS } from '../../../src/protocol/codec.ts'
import { bytesOf } from '../../../src/protocol/msgpack.ts'
import { positionChange, queuedSend } from '../../support/builders.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

interface Instance {
  readonly fanout: ClusterFanout
  readonly broker: MemoryBroker
  readonly users: LocalUsers
  readonly heads: KnownHeads
}

let clock: FakeClock
let hub: MemoryBrokerHub
/** What reached a device or a topic, in order. */
let got: string[]

beforeEach(() => {
  clock = new FakeClock()
  hub = new MemoryBrokerHub()
  got = []
})

function instance(): Instance {
  const users = new LocalUsers()
  const heads = new KnownHeads()
  const broker = hub.connect()
  const continuity = new Continuity({
    clock,
    replay: (user, other, from) => {
      for (const recipient of users.of(user)) recipient.owe(other, from)
    },
  })
  const fanout = new ClusterFanout({ users, broker, continuity, heads, arrived: () => Promise.resolve() })
  broker.listen({ received: (user, envelopes) => fanout.received(user, envelopes), gap: () => undefined })
  return { fanout, broker, users, heads }
}

async function device({ fanout }: Instance, userId: string, name: string): Promise<Recipient & { settled(): void }> {
  const recipient = {
    userId,
    message: ({ seq }: { seq: number }, encoded: EncodedEvent) => {
      got.push(`${name} message ${seq}`)
      expect(JSON.parse(encoded.json)).toMatchObject({ type: 'message', seq })
      expect(CODECS.msgpack.decode(bytesOf(encoded.frame(CODECS.msgpack)))?.value).toMatchObject({ seq })
    },
    event: ({ json }: EncodedEvent) => {
      const { type, sender_id, user_id, with: other, delivered_seq } = JSON.parse(json)
      if (type === 'typing') return got.push(`${name} sees ${sender_id} type`)
      got.push(`${name} receipt of ${user_id ?? 'them'} with ${other} ${delivered_seq}`)
    },
    unsure: (other: string) => got.push(`${name} unsure of ${other}`),
    owe: (other: string, from: number) => got.push(`${name} owes ${other} ${from}`),
    settled: () => undefined,
  }
  await fanout.joined(recipient)
  return recipient
}

function committed({ fanout }: Instance, seqs: readonly number[], origin?: { settled(): void }): void {
  for (const seq of seqs) fanout.message({ ...queuedSend(), seq, ...(origin && { origin }) })
  fanout.batchDone()
}

describe('a committed message', () => {
  test('reaches every device of both people on every instance once, but the one that sent it', async () => {
    const [one, two, three] = [instance(), instance(), instance()]
    const origin = await device(one, 'ann', 'ann 1')
    await device(two, 'ann', 'ann 2')
    await device(one, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    await device(three, 'bob', 'bob 3')
    await device(three, 'cid', 'cid')
    committed(one, [1], origin)
    expect(got).toEqual(['bob 1 message 1'])
    await settled()
    expect([...got].sort()).toEqual(['ann 2 message 1', 'bob 1 message 1', 'bob 2 message 1', 'bob 3 message 1'])
  })

  test('to oneself reaches the other devices once', async () => {
    const [one, two] = [instance(), instance()]
    const origin = await device(one, 'ann', 'ann 1')
    await device(one, 'ann', 'ann 2')
    await device(two, 'ann', 'ann 3')
    one.fanout.message({ ...queuedSend({ to: 'ann' }), seq: 1, origin })
    one.fanout.batchDone()
    await settled()
    expect([...got].sort()).toEqual(['ann 2 message 1', 'ann 3 message 1'])
  })

  test('waits on the instance where it came before an earlier one of another instance', async () => {
    const [one, two, three] = [instance(), instance(), instance()]
    await device(three, 'bob', 'bob')
    committed(one, [1])
    await settled()
    committed(two, [3])
    await settled()
    committed(one, [2])
    await settled()
    expect(got).toEqual(['bob message 1', 'bob message 2', 'bob message 3'])
  })

  test('is unsure for every device, the sending one too, when it is the first since the user came', async () => {
    const one = instance()
    const origin = await device(one, 'ann', 'ann')
    await device(one, 'bob', 'bob')
    committed(one, [6, 7], origin)
    expect(got).toEqual(['bob unsure of ann', 'bob message 6', 'ann unsure of bob', 'bob message 7'])
  })

  test('that never came is owed to every device of the instance', async () => {
    const [one, two] = [instance(), instance()]
    await device(two, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    committed(one, [1])
    committed(one, [3])
    await settled()
    await clock.advance(1000)
    expect(got.slice(2)).toEqual(['bob 1 owes ann 2', 'bob 2 owes ann 2'])
  })

  test('leaves this instance only with its batch', async () => {
    const [one, two] = [instance(), instance()]
    await device(two, 'bob', 'bob')
    one.fanout.message({ ...queuedSend(), seq: 1 })
    await settled()
    expect(got).toEqual([])
    one.fanout.batchDone()
    await settled()
    expect(got).toEqual(['bob message 1'])
  })

  test('of another instance makes its conversation’s head known here', async () => {
    const [one, two] = [instance(), instance()]
    await device(two, 'bob', 'bob')
    committed(one, [41])
    await settled()
    expect(two.heads.of(conversationBetween('ann', 'bob'))).toBe(41)
  })
})

describe('who has left', () => {
  test('gets nothing, from here or from elsewhere, and comes back to a fresh start', async () => {
    const [one, two] = [instance(), instance()]
    const bob = await device(two, 'bob', 'bob')
    committed(one, [1])
    await settled()
    two.fanout.left(bob)
    two.fanout.left(bob)
    committed(one, [2])
    committed(two, [3])
    await settled()
    expect(got).toEqual(['bob message 1'])
    await device(two, 'bob', 'bob again')
    committed(one, [4])
    await settled()
    await clock.advance(1000)
    expect(got).toEqual(['bob message 1', 'bob again unsure of ann', 'bob again message 4'])
  })

  test('on one device still gets everything on the other', async () => {
    const [one, two] = [instance(), instance()]
    const first = await device(two, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    two.fanout.left(first)
    committed(one, [1])
    await settled()
    expect(got).toEqual(['bob 2 message 1'])
  })
})

describe('what may be lost', () => {
  test('a receipt reaches the devices of both on every instance, but the one that moved', async () => {
    const [one, two] = [instance(), instance()]
    const origin = await device(one, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    await device(one, 'ann', 'ann 1')
    await device(two, 'ann', 'ann 2')
    one.fanout.position(positionChange('bob', 'ann', { delivered: 5 }, origin))
    one.fanout.batchDone()
    await settled()
    expect([...got].sort()).toEqual([
      'ann 1 receipt of them with bob 5',
      'ann 2 receipt of them with bob 5',
      'bob 2 receipt of bob with ann 5',
    ])
  })

  test('typing reaches the receiver on every instance where they are, once', async () => {
    const [one, two, three] = [instance(), instance(), instance()]
    await device(one, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    await device(three, 'cid', 'cid')
    one.fanout.typing('bob', new EncodedEvent({ type: 'typing', sender_id: 'ann', active: true }))
    await settled()
    expect(got).toEqual(['bob 1 sees ann type', 'bob 2 sees ann type'])
  })
})
