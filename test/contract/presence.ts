import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Presence, PresenceState } from '../../src/presence/presence.ts'
import { eventually } from '../support/cluster-instance.ts'

export interface PresenceUnderTest {
  readonly presence: Presence
  close(): Promise<void>
}

/** Everybody who is online, asked for page by page. */
export async function allPages(presence: Presence, limit: number): Promise<string[]> {
  const all: string[] = []
  let cursor: string | undefined
  do {
    const { users, nextCursor } = await presence.online(limit, cursor)
    expect(users.length).toBeLessThanOrEqual(limit)
    all.push(...users)
    cursor = nextCursor ?? undefined
  } while (cursor !== undefined)
  return all
}

/** What every presence guarantees, whoever else there is. */
export function describePresence(name: string, create: () => Promise<PresenceUnderTest>): void {
  describe(`the ${name} presence`, () => {
    let opened: PresenceUnderTest
    let presence: Presence
    let told: PresenceState[]
    let toldBefore = 0
    beforeEach(async () => {
      opened = await create()
      presence = opened.presence
      told = []
      toldBefore = 0
      presence.listen({ changed: (state) => told.push(state), refresh: () => undefined })
    })
    afterEach(() => opened.close())

    const online = async (): Promise<readonly string[]> => (await presence.online(500)).users
    const becomes = (users: readonly string[]): Promise<void> =>
      eventually(async () => String(await online()) === String(users), `online: ${users}`)
    /** The states told since the last call, once there are so many. */
    const news = async (count: number): Promise<string[]> => {
      await eventually(() => told.length >= toldBefore + count, `${count} changes`)
      const fresh = told.slice(toldBefore)
      toldBefore = told.length
      return fresh.map(({ userId, status }) => `${userId} ${status}`)
    }

    test('knows nobody at first', async () => {
      expect(await presence.online(10)).toEqual({ users: [], count: 0, nextCursor: null })
      expect(await presence.states([])).toEqual([])
      expect(await presence.states(['ann'])).toEqual([{ userId: 'ann', status: 'offline' }])
    })

    test('lists a user while any of their connections is open', async () => {
      for (let count = 0; count < 3; count += 1) presence.connected('ann')
      presence.connected('bob')
      await becomes(['ann', 'bob'])
      presence.disconnected('ann')
      presence.disconnected('ann')
      presence.disconnected('bob')
      await becomes(['ann'])
      presence.disconnected('ann')
      await becomes([])
      presence.connected('ann')
      await becomes(['ann'])
    })

    test('pages through all who are online in order, with the count of all', async () => {
      for (const user of ['c', 'a', 'B', 'd', '1', 'a.b', 'a-b']) presence.connected(user)
      const sorted = ['1', 'B', 'a', 'a-b', 'a.b', 'c', 'd']
      await becomes(sorted)
      for (const limit of [1, 2, 3, 7, 8]) expect(await allPages(presence, limit)).toEqual(sorted)
      expect(await presence.online(2)).toEqual({ users: ['1', 'B'], count: 7, nextCursor: 'B' })
      expect(await presence.online(2, 'B')).toEqual({ users: ['a', 'a-b'], count: 7, nextCursor: 'a-b' })
      expect(await presence.online(2, 'c')).toEqual({ users: ['d'], count: 7, nextCursor: null })
      expect(await presence.online(2, 'zzz')).toEqual({ users: [], count: 7, nextCursor: null })
    })

    test('goes on where a page ended, although the user of its cursor has left', async () => {
      for (const user of ['a', 'b', 'c']) presence.connected(user)
      await becomes(['a', 'b', 'c'])
      const { nextCursor } = await presence.online(2)
      presence.disconnected('b')
      await becomes(['a', 'c'])
      expect((await presence.online(2, nextCursor ?? '')).users).toEqual(['c'])
    })

    test('says who is online, and of those who left since when', async () => {
      presence.connected('ann')
      presence.connected('bob')
      await becomes(['ann', 'bob'])
      const beforeMs = Date.now()
      presence.disconnected('bob')
      await becomes(['ann'])
      const [ann, bob, cid] = await presence.states(['ann', 'bob', 'cid'])
      expect(ann).toEqual({ userId: 'ann', status: 'online' })
      expect(bob).toMatchObject({ userId: 'bob', status: 'offline' })
      expect(bob?.lastSeenMs).toBeGreaterThanOrEqual(beforeMs - 1)
      expect(bob?.lastSeenMs).toBeLessThanOrEqual(Date.now() + 1)
      expect(cid).toEqual({ userId: 'cid', status: 'offline' })
    })

    test('tells every change of those who are watched, the last seen with it, and of nobody else', async () => {
      await Promise.all([presence.watch('ann'), presence.watch('ann'), presence.watch('bob')])
      presence.connected('cid')
      presence.connected('ann')
      presence.connected('ann')
      expect(await news(1)).toEqual(['ann online'])
      presence.disconnected('ann')
      presence.disconnected('cid')
      presence.connected('bob')
      expect(await news(1)).toEqual(['bob online'])
      const beforeMs = Date.now()
      presence.disconnected('ann')
      expect(await news(1)).toEqual(['ann offline'])
      expect(told.at(-1)?.lastSeenMs).toBeGreaterThanOrEqual(beforeMs - 1)
      presence.unwatch('ann')
      await presence.watch('ben')
      presence.connected('ann')
      presence.disconnected('bob')
      expect(await news(1)).toEqual(['bob offline'])
    })

    test('ends at what is, however fast somebody comes and goes', async () => {
      for (let step = 0; step < 500; step += 1) {
        presence.connected('ann')
        presence.connected('bob')
        presence.disconnected('ann')
        if (step < 499) presence.disconnected('bob')
      }
      await becomes(['bob'])
    })

    test('is not put off by a connection that closes twice', async () => {
      presence.connected('ann')
      presence.disconnected('ann')
      presence.disconnected('ann')
      presence.connected('ann')
      await becomes(['ann'])
    })

    test('does not call offline whose connections close because this instance ends', async () => {
      presence.connected('ann')
      await presence.watch('ann')
      await becomes(['ann'])
      presence.drain()
      presence.disconnected('ann')
      await presence.watch('bob')
      presence.connected('bob')
      await eventually(() => told.some(({ userId }) => userId === 'bob'), 'bob')
      if (name === 'memory') return
      expect(told).not.toContainEqual(expect.objectContaining({ status: 'offline' }))
    })

    test('holds 5,000 users and answers pages of them', async () => {
      const users = Array.from({ length: 5000 }, (_, index) => `user${String(index).padStart(5, '0')}`)
      for (const user of users) presence.connected(user)
      await eventually(async () => (await presence.online(1)).count === 5000, 'all 5,000')
      expect(await allPages(presence, 1000)).toEqual(users)
      const states = await presence.states(users.slice(0, 500))
      expect(states.every(({ status }) => status === 'online')).toBe(true)
      for (const user of users) presence.disconnected(user)
      await eventually(async () => (await presence.online(1)).count === 0, 'nobody')
    })
  })
}
