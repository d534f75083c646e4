import { describe, expect, test, vi } from 'vitest'
import { EncodedEvent } from '../../../src/delivery/encoded.ts'
import { LocalFanout } from '../../../src/delivery/fanout.local.ts'
import type { Recipient } from '../../../src/delivery/recipient.ts'
import { Connections } from '../../../src/gateway/connections.ts'
import { CODECS } from '../../../src/gateway/wire/codec.ts'
import { bytesOf } from '../../../src/gateway/wire/msgpack.ts'
import { positionChange, queuedSend } from '../../support/builders.ts'

interface Device extends Recipient {
  settled(): void
  close(): void
}

function setUp() {
  const users = new Connections<Device>()
  const fanout = new LocalFanout(users)
  const encodings = new Set<EncodedEvent>()
  const got: string[] = []
  /** A device with a name of its own; it may also be where a send came from. */
  const device = async (userId: string, name: string) => {
    const recipient: Device = {
      userId,
      message: ({ seq }, encoded) => {
        got.push(`${name} message ${seq}`)
        encodings.add(encoded)
      },
      event: (encoded) => {
        const event = JSON.parse(encoded.frame(CODECS.json))
        if (event.type === 'typing') return got.push(`${name} sees ${event.sender_id} type`)
        got.push(`${name} ${event.user_id ?? '-'} with ${event.with} ${event.delivered_seq}/${event.read_seq}`)
      },
      mayLackBelow: () => undefined,
      replayFrom: () => undefined,
      settled: () => undefined,
      close: () => undefined,
    }
    users.add(recipient)
    await fanout.joined()
    return recipient
  }
  return { users, fanout, encodings, got, device }
}

describe('a committed message', () => {
  test("reaches every device of the receiver and the sender's others, not the one that sent it", async () => {
    const { fanout, got, device, encodings } = setUp()
    const asker = await device('ann', 'ann 1')
    await device('ann', 'ann 2')
    await device('bob', 'bob 1')
    await device('bob', 'bob 2')
    await device('cid', 'cid')
    fanout.message({ ...queuedSend(), seq: 7, asker })
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
    const asker = await device('ann', 'ann 1')
    await device('ann', 'ann 2')
    fanout.message({ ...queuedSend({ to: 'ann' }), seq: 1, asker })
    expect(got).toEqual(['ann 2 message 1'])
  })

  test('is not even encoded when nobody is there to be told', async () => {
    const { fanout, got, device } = setUp()
    const asker = await device('ann', 'ann')
    fanout.message({ ...queuedSend(), asker })
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
    const { users, fanout, got, device } = setUp()
    const first = await device('bob', 'bob 1')
    await device('bob', 'bob 2')
    users.remove(first)
    fanout.left()
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
