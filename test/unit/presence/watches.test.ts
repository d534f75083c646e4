import { beforeEach, describe, expect, test } from 'vitest'
import type { Presence, PresenceState } from '../../../src/presence/presence.ts'
import { PresenceWatches } from '../../../src/presence/watches.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

const GRACE_MS = 5_000
const MAX_WATCHED = 2_000

let clock: FakeClock
/** What is, by user; offline when missing. */
let truth: Map<string, PresenceState['status']>
/** Runs between what is and the answer that says so. */
let meanwhile: () => void
let subscribed: string[]
let announced: string[]
let watches: PresenceWatches
let listener: { changed(state: PresenceState): void; refresh(): void }

beforeEach(() => {
  clock = new FakeClock()
  truth = new Map()
  subscribed = []
  announced = []
  const stateOf = (userId: string): PresenceState => ({ userId, status: truth.get(userId) ?? 'offline' })
  meanwhile = () => undefined
  const presence: Presence = {
    connected: () => undefined,
    disconnected: () => undefined,
    drain: () => undefined,
    online: async () => ({ users: [], count: 0, nextCursor: null }),
    states: async (userIds) => {
      const states = userIds.map(stateOf)
      meanwhile()
      return states
    },
    watch: async (userId) => void subscribed.push(userId),
    unwatch: (userId) => {
      subscribed = subscribed.filter((other) => other !== userId)
    },
    listen: (given) => {
      listener = given
    },
    close: async () => undefined,
  }
  const announce = ({ userId, status, lastSeenMs }: PresenceState): void => {
    announced.push([userId, status, lastSeenMs].filter((part) => part !== undefined).join(' '))
  }
  watches = new PresenceWatches({ presence, clock, graceMs: GRACE_MS, maxWatched: MAX_WATCHED, announce })
})

/** What a new watcher is told. */
async function watch(userId: string): Promise<string | undefined> {
  watches.watch([userId])
  return (await watches.states([userId]))[0]?.status
}

/** What is, changes, and presence tells it. */
function becomes(userId: string, status: 'online' | 'offline', lastSeenMs?: number): void {
  truth.set(userId, status)
  listener.changed({ userId, status, ...(lastSeenMs !== undefined && { lastSeenMs }) })
}

describe('watchers', () => {
  test('are told what is, and then every change, online at once', async () => {
    expect(await watch('ann')).toBe('offline')
    becomes('ann', 'online')
    expect(announced).toEqual(['ann online'])
    becomes('bob', 'online')
    becomes('ann', 'online')
    expect(announced).toEqual(['ann online'])
  })

  test('are told offline after the grace, with the time of the leaving', async () => {
    truth.set('ann', 'online')
    expect(await watch('ann')).toBe('online')
    becomes('ann', 'offline', 1234)
    await clock.advance(GRACE_MS - 1)
    expect(announced).toEqual([])
    await clock.advance(1)
    expect(announced).toEqual(['ann offline 1234'])
    expect(clock.pending).toBe(0)
  })

  test('hear nothing of a reload, however often', async () => {
    truth.set('ann', 'online')
    await watch('ann')
    for (let time = 0; time < 5; time += 1) {
      becomes('ann', 'offline')
      await clock.advance(GRACE_MS - 100)
      becomes('ann', 'online')
    }
    await clock.advance(10 * GRACE_MS)
    expect(announced).toEqual([])
  })

  test('who come within the grace believe what the others believe, and learn the end with them', async () => {
    truth.set('ann', 'online')
    await watch('ann')
    becomes('ann', 'offline')
    await clock.advance(1_000)
    expect(await watch('ann')).toBe('online')
    await clock.advance(GRACE_MS)
    expect(announced).toEqual(['ann offline'])
    expect(await watch('ann')).toBe('offline')
  })

  test('are told what was missed as soon as somebody else asks', async () => {
    await watch('ann')
    truth.set('ann', 'online')
    expect(await watch('ann')).toBe('online')
    expect(announced).toEqual(['ann online'])
  })

  test('are told what changed while they asked, not what was before', async () => {
    truth.set('ann', 'online')
    meanwhile = () => becomes('ann', 'offline', 1234)
    expect(await watch('ann')).toBe('offline')
    truth.set('bob', 'online')
    await watch('bob')
    meanwhile = () => becomes('bob', 'offline', 1234)
    listener.refresh()
    await clock.advance(GRACE_MS)
    expect(announced.at(-1)).toBe('bob offline 1234')
  })

  test('cost one subscription for each user, as long as there is one', async () => {
    await watch('ann')
    await watch('ann')
    watches.unwatch(['ann'])
    expect(subscribed.length).toBeGreaterThan(0)
    becomes('ann', 'online')
    expect(announced).toEqual(['ann online'])
    becomes('ann', 'offline')
    watches.unwatch(['ann', 'nobody'])
    expect(subscribed).toEqual([])
    await clock.advance(10 * GRACE_MS)
    becomes('ann', 'online')
    expect(announced).toEqual(['ann online'])
    expect(clock.pending).toBe(0)
  })
})

describe('while presence is unknown', () => {
  async function refresh(): Promise<void> {
    listener.refresh()
    await settled()
  }

  test('watchers are told so at once, once, and what is when it is known again', async () => {
    truth.set('ann', 'online')
    await watch('ann')
    truth.set('ann', 'unknown')
    await refresh()
    await refresh()
    expect(announced).toEqual(['ann unknown'])
    truth.set('ann', 'online')
    await refresh()
    expect(announced).toEqual(['ann unknown', 'ann online'])
  })

  test('nobody is called offline before the grace is over: the list may only not be whole yet', async () => {
    truth.set('ann', 'online')
    await watch('ann')
    truth.set('ann', 'unknown')
    await refresh()
    truth.set('ann', 'offline')
    await refresh()
    await clock.advance(GRACE_MS - 1)
    expect(announced).toEqual(['ann unknown'])
    becomes('ann', 'online')
    await clock.advance(10 * GRACE_MS)
    expect(announced).toEqual(['ann unknown', 'ann online'])
  })

  test('a grace under way ends with it, and who is really gone is told a grace later', async () => {
    truth.set('ann', 'online')
    await watch('ann')
    becomes('ann', 'offline')
    truth.set('ann', 'unknown')
    await refresh()
    await clock.advance(10 * GRACE_MS)
    expect(announced).toEqual(['ann unknown'])
    truth.set('ann', 'offline')
    await refresh()
    await clock.advance(GRACE_MS)
    expect(announced).toEqual(['ann unknown', 'ann offline'])
  })

  test('a look that fails for one who comes is told to them alone, and they learn what is with the next look', async () => {
    truth.set('ann', 'online')
    await watch('ann')
    truth.set('ann', 'unknown')
    expect(await watch('ann')).toBe('unknown')
    expect(announced).toEqual([])
    truth.set('ann', 'online')
    await refresh()
    await refresh()
    expect(announced).toEqual(['ann online'])
  })

  test('every watched user is asked after, however many', async () => {
    const users = Array.from({ length: 1201 }, (_, index) => `user${index}`)
    watches.watch(users)
    await watches.states(users)
    for (const user of users) truth.set(user, 'online')
    await refresh()
    expect(announced.length).toBe(1201)
  })

  test('are as many users as fit, whoever watches them, and one that leaves makes room', async () => {
    const users = Array.from({ length: MAX_WATCHED }, (_, index) => `user${index}`)
    expect(watches.watch(users)).toBe(true)
    expect(watches.watch(['ann'])).toBe(false)
    expect(watches.watch([...users.slice(0, 2), 'ann'])).toBe(false)
    expect(subscribed.length).toBe(MAX_WATCHED)
    // Of those who are watched already there may be more watchers.
    expect(watches.watch(users.slice(0, 2))).toBe(true)
    watches.unwatch(['user0', 'user2'])
    expect(watches.watch(['ann'])).toBe(true)
    expect(watches.watch(['bob'])).toBe(false)
    expect(subscribed.length).toBe(MAX_WATCHED)
  })
})
