import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { StoredPages } from '../../src/delivery/stored-pages.ts'
import { MemoryMessageStore } from '../../src/messages/store.memory.ts'
import { StoreUnavailable } from '../../src/messages/store.ts'
import { startOn } from '../support/app.ts'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { Activity, FaultyStore, impatientClock } from '../support/model-faults.ts'
import { Reader, seqs } from '../support/reader.ts'
import { get } from '../support/rest-client.ts'

describe('while PostgreSQL is away', () => {
  const COUNT = 5_000
  let postgres: ExternalPostgres
  let app: App

  beforeAll(async () => {
    postgres = await ExternalPostgres.start()
    app = await startOn(postgres.dsn)
  })
  afterAll(async () => {
    await app.stop()
    await postgres.remove()
  })

  test('a catch-up is never empty or cut short with synced, ends with 1011, and is complete afterwards', async () => {
    const ann = await Reader.connect(app, 'ann')
    await ann.sendMany(COUNT, (index) => ({ receiver_id: 'bob', content: `${index}`.padEnd(4000, '.') }))
    const bob = await Reader.connect(app, 'bob')
    await bob.until(() => bob.messages >= 300, 'the first pages')
    // The stream waits for its reader, so the database goes away in its midst.
    bob.pause()
    await postgres.kill()
    bob.resume()
    expect(await bob.closed).toBe(1011)
    expect(bob.events.map(({ type }) => type)).not.toContain('synced')
    expect(bob.arrivals.get('ann')).toEqual(seqs(1, bob.messages))
    expect(bob.messages).toBeLessThan(COUNT)

    const during = await Reader.connect(app, 'bob')
    expect(await during.closed).toBe(1011)
    expect(during.events.map(({ type }) => type)).toEqual(['welcome'])
    expect(during.messages).toBe(0)
    for (const path of ['messages?user_id=bob&with=ann', 'conversations?user_id=bob']) {
      expect(await get(app, `/api/${path}`)).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } })
    }
    expect(await ann.ask({ type: 'history', with: 'bob' })).toMatchObject({ type: 'error', code: 'unavailable' })

    // A connection that came too early has its catch-up tried again until the database is back.
    await postgres.startAgain()
    const after = await Reader.connect(app, 'bob')
    await after.event('synced')
    expect(after.arrivals.get('ann')).toEqual(seqs(1, COUNT))
    await Promise.all([ann.kill(), after.kill()])
  })
})

describe('a failed read of a replay', () => {
  const ann = { userId: 'ann', isOpen: true }
  const pagesThatFail = (times: number): StoredPages => {
    const activity = new Activity()
    const clock = impatientClock(activity)
    const store = new FaultyStore(new MemoryMessageStore(clock.now), activity, [], Array<boolean>(times).fill(true))
    return new StoredPages(store, clock, 1)
  }

  test('is tried again', async () => {
    await expect(pagesThatFail(4).backlog(ann)).resolves.toMatchObject({ found: [] })
    await expect(pagesThatFail(4).after(ann, 'bob', 0)).resolves.toEqual({ messages: [], hasMore: false })
  })

  test('is an error in the end, never an empty page', async () => {
    await expect(pagesThatFail(5).backlog(ann)).rejects.toThrow(StoreUnavailable)
    await expect(pagesThatFail(5).after(ann, 'bob', 0)).rejects.toThrow(StoreUnavailable)
  })
})
