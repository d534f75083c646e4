import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemoryPresence } from '../../../src/presence/presence.memory.ts'
import { allPages } from '../../contract/presence.ts'

test('nobody is online at first', async () => {
  expect(await new MemoryPresence({ now: () => 0 }).online(10)).toEqual({ users: [], count: 0, nextCursor: null })
})

test('a user is online while any of their connections is open', async () => {
  const presence = new MemoryPresence({ now: () => 0 })
  presence.connected('ann')
  presence.connected('ann')
  presence.disconnected('ann')
  expect((await presence.online(10)).users).toEqual(['ann'])
  presence.disconnected('ann')
  expect((await presence.online(10)).users).toEqual([])
  presence.disconnected('ann')
  presence.connected('ann')
  expect((await presence.online(10)).users).toEqual(['ann'])
})

test('pages are sorted, count everybody, and end with the last user', async () => {
  const presence = new MemoryPresence({ now: () => 0 })
  for (const user of ['c', 'a', 'B', 'd', '1']) presence.connected(user)
  expect(await presence.online(2)).toEqual({ users: ['1', 'B'], count: 5, nextCursor: 'B' })
  expect(await presence.online(2, 'B')).toEqual({ users: ['a', 'c'], count: 5, nextCursor: 'c' })
  expect(await presence.online(2, 'c')).toEqual({ users: ['d'], count: 5, nextCursor: null })
  expect(await presence.online(5)).toMatchObject({ nextCursor: null })
  expect(await presence.online(2, 'zzz')).toEqual({ users: [], count: 5, nextCursor: null })
})

test('a page goes on where it was, although the user of its cursor has left', async () => {
  const presence = new MemoryPresence({ now: () => 0 })
  for (const user of ['a', 'b', 'c']) presence.connected(user)
  const { nextCursor } = await presence.online(2)
  presence.disconnected('b')
  expect((await presence.online(2, nextCursor ?? '')).users).toEqual(['c'])
})

test('forgets first when those were last seen who left longest ago, counting from the last time', async () => {
  let now = 1
  const presence = new MemoryPresence({ now: () => now })
  const visit = (user: string): void => {
    presence.connected(user)
    presence.disconnected(user)
  }
  for (const user of ['ann', 'bob']) visit(user)
  now = 2
  visit('ann')
  for (let n = 0; n < 99_999; n += 1) visit(`u${n}`)
  expect(await presence.states(['ann', 'bob'])).toEqual([
    { userId: 'ann', status: 'offline', lastSeenMs: 2 },
    { userId: 'bob', status: 'offline' },
  ])
})

test('agrees with a count of connections per user, whoever comes and goes', async () => {
  const user = fc.constantFrom('a', 'b', 'ab', 'B', '1', 'a.b', 'a-b', 'é')
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.boolean(), user)), fc.integer({ min: 1, max: 4 }), async (steps, limit) => {
      const presence = new MemoryPresence({ now: () => 0 })
      const connections = new Map<string, number>()
      for (const [comes, one] of steps) {
        const now = connections.get(one) ?? 0
        if (comes) presence.connected(one)
        else presence.disconnected(one)
        connections.set(one, Math.max(0, now + (comes ? 1 : -1)))
      }
      const online = [...connections].filter(([, count]) => count > 0).map(([one]) => one)
      expect(await allPages(presence, limit)).toEqual(online.sort())
      expect((await presence.online(1)).count).toBe(online.length)
    }),
    { numRuns: 500 },
  )
})

test('states say who is online, and of those who left since when', async () => {
  let now = 1000
  const presence = new MemoryPresence({ now: () => now })
  presence.connected('ann')
  presence.connected('bob')
  now = 2000
  presence.disconnected('bob')
  expect(await presence.states(['ann', 'bob', 'cid'])).toEqual([
    { userId: 'ann', status: 'online' },
    { userId: 'bob', status: 'offline', lastSeenMs: 2000 },
    { userId: 'cid', status: 'offline' },
  ])
})

test('changes of watched users are told, once for each, and of nobody else', async () => {
  const presence = new MemoryPresence({ now: () => 1000 })
  const told: string[] = []
  presence.listen({ changed: ({ userId, status }) => told.push(`${userId} ${status}`) })
  await presence.watch('ann')
  for (const user of ['ann', 'bob', 'ann']) presence.connected(user)
  for (const user of ['ann', 'bob', 'ann']) presence.disconnected(user)
  expect(told).toEqual(['ann online', 'ann offline'])
  presence.unwatch('ann')
  presence.connected('ann')
  await presence.watch('ann')
  await presence.close()
  presence.disconnected('ann')
  expect(told).toHaveLength(2)
})
