import { beforeEach, describe, expect, test } from 'vitest'
import { type MemoryBroker, MemoryBrokerHub } from '../../../src/delivery/broker.memory.ts'
import { Continuity } from '../../../src/delivery/continuity.ts'
import { EncodedEvent } from '../../../src/delivery/encoded.ts'
import { ClusterFanout } from '../../../src/delivery/fanout.cluster.ts'
import type { Recipient } from '../../../src/delivery/recipient.ts'
import { Connections } from '../../../src/gateway/connections.ts'
import { CODECS } from '../../../src/gateway/wire/codec.ts'
import { bytesOf } from '../../../src/gateway/wire/msgpack.ts'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { positionChange, queuedSend } from '../../support/builders.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

interface Device extends Recipient {
  settled(): void
  close(): void
}

interface Instance {
  readonly fanout: ClusterFanout
  readonly broker: MemoryBroker
  readonly users: Connections<Device>
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

function instance(arrived: (user: string) => Promise<void> = () => Promise.resolve()): Instance {
  const users = new Connections<Device>()
  const heads = new KnownHeads()
  const broker = hub.connect()
  const continuity = new Continuity({
    clock,
    replay: (user, other, from) => {
      for (const recipient of users.of(user)) recipient.replayFrom(other, from)
    },
  })
  const fanout = new ClusterFanout({
    users,
    broker,
    continuity,
    heads,
    json: CODECS.json,
    comparedMs: () => 0,
    arrived,
  })
  broker.listen({
    received: (user, envelopes) => fanout.received(user, envelopes),
    gap: () => undefined,
    told: () => undefined,
  })
  return { fanout, broker, users, heads }
}

async function device({ users, fanout }: Instance, userId: string, name: string): Promise<Device> {
  const recipient = {
    userId,
    message: ({ seq }: { seq: number }, encoded: EncodedEvent) => {
      got.push(`${name} message ${seq}`)
      expect(JSON.parse(encoded.frame(CODECS.json))).toMatchObject({ type: 'message', seq })
      expect(CODECS.msgpack.decode(bytesOf(encoded.frame(CODECS.msgpack)))?.value).toMatchObject({ seq })
    },
    event: (encoded: EncodedEvent) => {
      const { type, sender_id, user_id, with: other, delivered_seq } = JSON.parse(encoded.frame(CODECS.json))
      if (type === 'typing') return got.push(`${name} sees ${sender_id} type`)
      got.push(`${name} receipt of ${user_id ?? 'them'} with ${other} ${delivered_seq}`)
    },
    mayLackBelow: (peer: string) => got.push(`${name} may lack below of ${peer}`),
    replayFrom: (other: string, from: number) => got.push(`${name} lacks ${other} ${from}`),
    settled: () => undefined,
    close: () => undefined,
  }
  users.add(recipient)
  await fanout.joined(userId)
  return recipient
}

function leave({ users, fanout }: Instance, one: Device): void {
  users.remove(one)
  fanout.left(one.userId)
}

function committed({ fanout }: Instance, seqs: readonly number[], asker?: { settled(): void }): void {
  for (const seq of seqs) fanout.message({ ...queuedSend(), seq, ...(asker && { asker }) })
  fanout.batchDone()
}

describe('a committed message', () => {
  test('reaches every device of both people on every instance once, but the one that sent it', async () => {
    const [one, two, three] = [instance(), instance(), instance()]
    const asker = await device(one, 'ann', 'ann 1')
    await device(two, 'ann', 'ann 2')
    await device(one, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    await device(three, 'bob', 'bob 3')
    await device(three, 'cid', 'cid')
    committed(one, [1], asker)
    expect(got).toEqual(['bob 1 message 1'])
    await settled()
    expect([...got].sort()).toEqual(['ann 2 message 1', 'bob 1 message 1', 'bob 2 message 1', 'bob 3 message 1'])
  })

  test('to oneself reaches the other devices once', async () => {
    const [one, two] = [instance(), instance()]
    const asker = await device(one, 'ann', 'ann 1')
    await device(one, 'ann', 'ann 2')
    await device(two, 'ann', 'ann 3')
    one.fanout.message({ ...queuedSend({ to: 'ann' }), seq: 1, asker })
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

  test('may lack something below for every device, the sending one too, when it is the first since the user came', async () => {
    const one = instance()
    const asker = await device(one, 'ann', 'ann')
    await device(one, 'bob', 'bob')
    committed(one, [6, 7], asker)
    expect(got).toEqual(['bob may lack below of ann', 'bob message 6', 'ann may lack below of bob', 'bob message 7'])
  })

  test('that never came is replayed to every device of the instance', async () => {
    const [one, two] = [instance(), instance()]
    await device(two, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    committed(one, [1])
    committed(one, [3])
    await settled()
    await clock.advance(1000)
    expect(got.slice(2)).toEqual(['bob 1 lacks ann 2', 'bob 2 lacks ann 2'])
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
    leave(two, bob)
    leave(two, bob)
    committed(one, [2])
    committed(two, [3])
    await settled()
    expect(got).toEqual(['bob message 1'])
    await device(two, 'bob', 'bob again')
    committed(one, [4])
    await settled()
    await clock.advance(1000)
    expect(got).toEqual(['bob message 1', 'bob again may lack below of ann', 'bob again message 4'])
  })

  test('on one device still gets everything on the other', async () => {
    const [one, two] = [instance(), instance()]
    const first = await device(two, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    leave(two, first)
    committed(one, [1])
    await settled()
    expect(got).toEqual(['bob 2 message 1'])
  })
})

describe('a device that comes', () => {
  test('waits with the first one of its user until it is known what the user had acknowledged', async () => {
    const known: (() => void)[] = []
    const asked: string[] = []
    const one = instance((user) => {
      asked.push(user)
      return new Promise((resolve) => known.push(resolve))
    })
    const joined: string[] = []
    for (const name of ['first', 'second']) void device(one, 'ann', name).then(() => joined.push(name))
    await settled()
    expect(joined).toEqual([])
    expect(asked).toEqual(['ann'])
    for (const resolve of known) resolve()
    await settled()
    expect(joined).toEqual(['first', 'second'])
    await device(one, 'ann', 'third')
    expect(asked).toEqual(['ann'])
  })
})

describe('a channel', () => {
  test('of a user whose last device has left is given up, also while others are here', async () => {
    const [one, two] = [instance(), instance()]
    const bob = await device(two, 'bob', 'bob')
    await device(two, 'cid', 'cid')
    const given: string[] = []
    const { unsubscribe } = two.broker
    two.broker.unsubscribe = (user) => {
      given.push(user)
      unsubscribe.call(two.broker, user)
    }
    leave(two, bob)
    expect(given).toEqual(['bob'])
    committed(one, [1])
    await settled()
    expect(got).toEqual([])
  })

  test('of a user who has another device here is kept', async () => {
    const two = instance()
    const first = await device(two, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    two.broker.unsubscribe = () => expect.fail('still needed')
    leave(two, first)
  })
})

describe('what may be lost', () => {
  test('a receipt reaches the devices of both on every instance, but the one that moved', async () => {
    const [one, two] = [instance(), instance()]
    const asker = await device(one, 'bob', 'bob 1')
    await device(two, 'bob', 'bob 2')
    await device(one, 'ann', 'ann 1')
    await device(two, 'ann', 'ann 2')
    one.fanout.position(positionChange('bob', 'ann', { delivered: 5 }, asker))
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
