import { describe, expect, test, vi } from 'vitest'
import { EncodedEvent } from '../../../src/delivery/encoded.ts'
import { LocalFanout } from '../../../src/delivery/fanout.local.ts'
import { LocalUsers } from '../../../src/delivery/local-users.ts'
import type { Recipient } from '../../../src/delivery/recipient.ts'
import { CODECS } from '../../../src/protocol/codec.ts'
import { bytesOf } from '../../../src/protocol/msgpack.ts'
import { positionChange, queuedSend } from '../../support/builders.ts'

function setUp() {
  const users = new LocalUsers()
  const fanout = new LocalFanout(users)
  const encodings = new Set<EncodedEvent>()
  const got: string[] = []
  /** A device with a name of its own; it may also be where a send came from. */
  const device = async (userId: string, name: string) => {
    const recipient: Recipient & { settled(): void } = {
      userId,
      message: ({ seq }, encoded) => {
        got.push(`${name} message ${seq}`)
        encodings.add(encoded)
      },
      event: ({ json }) => {
        const event = JSON.parse(json)
        if (event.type === 'typing') return got.push(`${name} sees ${event.sender_id} type`)
        got.push(`${name} ${event.user_id ?? '-'} with ${event.with} ${event.delivered_seq}/${event.read_seq}`)
      },
      unsure: () => undefined,
      owe: () => undefined,
      settled: () => undefined,
    }
    await fanout.joined(recipient)
    return recipient
  }
  return { users, fanout, encodings, got, device }
}

describe('a committed message', () => {
  test("reaches every device of the receiver and the sender's others, not the one that sent it", async () => {
    const { fanout, got, device, encodings } = setUp()
    const origin = await device('ann', 'ann 1')
    await device('ann', 'ann 2')
    await device('bob', 'bob 1')
    await device('bob', 'bob 2')
    await device('cid', 'cid')
    fanout.message({ ...queuedSend(), seq: 7, origin })
    expect(got.sort()).toEqual(['ann 2 message 7', 'bob 1 message 7', 'bob 2 message 7'])
    expect(encodings.size).toBe(1)
  })

  test('sent over REST reaches all devices of both', async () => {
    const { fanout, got, device } = setUp()
    await device('ann', 'ann')
    await device('bob', 'bob')
    fanout.message({ ...queuedSend(), seq: 7 })
    expect(got.sort()).toEqual(['ann message 7', 'bob message 7'])
  })

  test('to oneself reaches the other devices once', async () => {
    const { fanout, got, device } = setUp()
    const origin = await device('ann', 'ann 1')
    await device('ann', 'ann 2')
    fanout.message({ ...queuedSend({ to: 'ann' }), seq: 1, origin })
    expect(got).toEqual(['ann 2 message 1'])
  })

  test('is not even encoded when nobody is there to be told', async () => {
    const { fanout, got, device } = setUp()
    const origin = await device('ann', 'ann')
    fanout.message({ ...queuedSend(), origin })
    fanout.message(queuedSend({ from: 'dan', to: 'eve' }))
    expect(got).toEqual([])
  })

  test('is encoded once for each encoding in use', async () => {
    const { fanout, encodings, device } = setUp()
    await device('bob', 'bob')
    fanout.message({ ...queuedSend({ content: 'hi' }), seq: 1, created_at: '2026-01-02T03:04:05.678Z' })
    const [encoded] = encodings
    expect(encoded?.frame(CODECS.json)).toContain('"content":"hi"')
    const encode = vi.spyOn(CODECS.msgpack, 'encode')
    const [first = '', second] = [encoded?.frame(CODECS.msgpack), encoded?.frame(CODECS.msgpack)]
    expect(second).toBe(first)
    expect(encode).toHaveBeenCalledTimes(1)
    expect(CODECS.msgpack.decode(bytesOf(first))?.value).toMatchObject({ content: 'hi' })
  })

  test('reaches nobody who has left', async () => {
    const { fanout, got, device } = setUp()
    const first = await device('bob', 'bob 1')
    await device('bob', 'bob 2')
    fanout.left(first)
    fanout.message({ ...queuedSend(), seq: 1 })
    expect(got).toEqual(['bob 2 message 1'])
  })
})

describe('a position', () => {
  test("is told to the other person and to one's own other devices", async () => {
    const { fanout, got, device } = setUp()
    await device('ann', 'ann')
    const phone = await device('bob', 'phone')
    await device('bob', 'laptop')
    await device('cid', 'cid')
    fanout.position(positionChange('bob', 'ann', { delivered: 4, read: 2 }, phone))
    expect(got.sort()).toEqual(['ann - with bob 4/2', 'laptop bob with ann 4/2'])
  })

  test('in a conversation with oneself is told once', async () => {
    const { fanout, got, device } = setUp()
    const phone = await device('ann', 'phone')
    await device('ann', 'laptop')
    fanout.position(positionChange('ann', 'ann', { delivered: 4 }, phone))
    expect(got).toEqual(['laptop ann with ann 4/0'])
  })
})

test('typing goes to every socket of its receiver and to nobody else', async () => {
  const { fanout, got, device } = setUp()
  for (const [user, name] of [
    ['ann', 'phone'],
    ['bob', 'one'],
    ['bob', 'two'],
    ['cid', 'other'],
  ] as const)
    await device(user, name)
  fanout.typing('bob', new EncodedEvent({ type: 'typing', sender_id: 'ann', active: true }))
  expect(got).toEqual(['one sees ann type', 'two sees ann type'])
})

describe('local users', () => {
  const someone = (userId: string): Recipient => ({
    userId,
    message: () => undefined,
    event: () => undefined,
    unsure: () => undefined,
    owe: () => undefined,
  })

  test('know the first and the last connection of each', () => {
    const users = new LocalUsers()
    const [one, two, other] = [someone('ann'), someone('ann'), someone('bob')]
    expect([users.add(one), users.add(two), users.add(other)]).toEqual([true, false, true])
    expect(users.of('ann')).toEqual([one, two])
    expect(users.ids().sort()).toEqual(['ann', 'bob'])
    expect([users.remove(one), users.remove(one), users.remove(two), users.remove(two)]).toEqual([
      false,
      false,
      true,
      false,
    ])
    expect(users.of('ann')).toEqual([])
    expect(users.ids()).toEqual(['bob'])
  })

  test('may leave while they are gone through', () => {
    const users = new LocalUsers()
    const all = [someone('ann'), someone('ann'), someone('ann')]
    for (const one of all) users.add(one)
    const visited = []
    for (const one of users.of('ann')) {
      visited.push(one)
      users.remove(one)
    }
    expect(visited).toEqual(all)
  })
})
