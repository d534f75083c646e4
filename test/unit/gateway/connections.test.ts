import { describe, expect, test } from 'vitest'
import type { Recipient } from '../../../src/delivery/recipient.ts'
import { Connections } from '../../../src/gateway/connections.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

interface One extends Recipient {
  close(): void
}

const someone = (userId: string): One => ({
  userId,
  message: () => undefined,
  event: () => undefined,
  mayLackBelow: () => undefined,
  replayFrom: () => undefined,
  close: () => undefined,
})

describe('the register of connections', () => {
  test('knows those of each user, oldest first, until each is removed', () => {
    const connections = new Connections<One>()
    const [one, two, other] = [someone('ann'), someone('ann'), someone('bob')]
    for (const each of [one, two, other]) connections.add(each)
    expect(connections.of('ann')).toEqual([one, two])
    expect(connections.ids().sort()).toEqual(['ann', 'bob'])
    expect(new Set(connections.all())).toEqual(new Set([one, two, other]))
    expect(connections.size).toBe(3)
    connections.remove(one)
    connections.remove(one)
    expect([connections.of('ann'), connections.size]).toEqual([[two], 2])
    connections.remove(two)
    connections.remove(two)
    expect([connections.of('ann'), connections.size]).toEqual([[], 1])
    expect(connections.ids()).toEqual(['bob'])
    expect(connections.all()).toEqual([other])
  })

  test('may be changed while it is gone through', () => {
    const connections = new Connections<One>()
    const all = [someone('ann'), someone('ann'), someone('ann')]
    for (const one of all) connections.add(one)
    const visited = []
    for (const one of connections.of('ann')) {
      visited.push(one)
      connections.remove(one)
      connections.add(someone('ann'))
    }
    expect(visited).toEqual(all)
  })

  test('closes every connection of one user, and nobody else', async () => {
    const { connectLive, services } = gatewayBench()
    const mine = [await connectLive('ann'), await connectLive('ann')]
    const other = await connectLive('bob')
    services.connections.closeUser('ann', 'unauthorized', 'session_revoked')
    await settled()
    for (const { socket } of mine) {
      expect([socket.closedBy, socket.closeReason]).toEqual(['unauthorized', 'session_revoked'])
    }
    expect(other.socket.closedBy).toBeUndefined()
    expect(services.connections.all()).toEqual([other.connection])
  })
})
