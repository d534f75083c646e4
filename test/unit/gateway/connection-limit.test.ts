import { expect, test } from 'vitest'
import { type ConnectOptions, gatewayBench } from '../../support/gateway.ts'

/** Three may be open. */
function devicesOfBob() {
  const bench = gatewayBench()
  const all: Awaited<ReturnType<typeof bench.connectLive>>[] = []
  /** One more connection; a half-open one answers nothing. */
  const open = async (socket: ConnectOptions['socket'] = {}) => {
    const device = await bench.connectLive('bob', { socket })
    all.push(device)
    return device
  }
  const closed = () => all.flatMap(({ socket }, index) => (socket.closedBy === undefined ? [] : [index]))
  return { ...bench, open, all, closed }
}
const HALF_OPEN = { answersPings: false }

test('beyond the limit of its user a newcomer is welcomed at once, and the oldest goes when all have answered', async () => {
  const { connect, open, all, closed, clock } = devicesOfBob()
  for (let index = 0; index < 3; index += 1) await open()
  expect(all.map(({ socket }) => socket.pings)).toEqual([0, 0, 0])
  expect(connect('bob').events('welcome')).toHaveLength(1)
  expect(all.map(({ socket }) => socket.pings)).toEqual([1, 1, 1])
  await clock.advance(1_999)
  expect(closed()).toEqual([])
  await clock.advance(1)
  expect(closed()).toEqual([0])
  expect(all[0]?.socket.closedBy).toBe('replaced')
})

test('the one that was silent for the longest goes before one that answers', async () => {
  const { open, all, closed, clock } = devicesOfBob()
  await open()
  await open(HALF_OPEN)
  await open(HALF_OPEN)
  // The second was heard of later than the third.
  all[1]?.socket.hear()
  await open()
  await clock.advance(2_000)
  expect(closed()).toEqual([2])
  await open()
  await clock.advance(2_000)
  expect(closed()).toEqual([1, 2])
})

test('any frame within the two seconds is an answer', async () => {
  const { open, all, closed, clock } = devicesOfBob()
  await open()
  await open(HALF_OPEN)
  await open(HALF_OPEN)
  await open()
  await clock.advance(1_000)
  for (const { socket } of all.slice(1, 3)) socket.hear()
  await clock.advance(1_000)
  expect(closed()).toEqual([0])
})

test('several newcomers within the two seconds replace as many, and are not asked themselves', async () => {
  const { open, all, closed, clock } = devicesOfBob()
  for (let index = 0; index < 3; index += 1) await open(HALF_OPEN)
  for (let index = 0; index < 2; index += 1) await open(HALF_OPEN)
  await clock.advance(2_000)
  expect(closed()).toEqual([0, 1])
  expect(all.map(({ socket }) => socket.pings)).toEqual([1, 1, 1, 0, 0])
})

test('nobody goes when one has left by itself within the two seconds', async () => {
  const { open, all, closed, clock, services } = devicesOfBob()
  for (let index = 0; index < 4; index += 1) await open(HALF_OPEN)
  all[3]?.socket.close('policy')
  await clock.advance(2_000)
  expect(closed()).toEqual([3])
  expect(services.connections.size).toBe(3)
})

test('there are never more than twice as many, however fast they come, and the silent go first', async () => {
  const { open, all, closed, clock, services } = devicesOfBob()
  await open()
  await open(HALF_OPEN)
  for (let index = 0; index < 4; index += 1) await open()
  expect([services.connections.size, closed()]).toEqual([6, []])
  await open()
  expect([services.connections.size, closed()]).toEqual([6, [1]])
  await open()
  expect([services.connections.size, closed()]).toEqual([6, [0, 1]])
  for (let index = 0; index < 30; index += 1) await open()
  expect(services.connections.size).toBe(6)
  await clock.advance(2_000)
  expect(services.connections.size).toBe(3)
  expect(all.slice(-3).map(({ socket }) => socket.closedBy)).toEqual([undefined, undefined, undefined])
})
