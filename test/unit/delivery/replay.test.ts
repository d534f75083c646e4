import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Replay, type ReplayTarget } from '../../../src/delivery/replay.ts'
import { StoredPages } from '../../../src/delivery/stored-pages.ts'
import { WrittenRanges } from '../../../src/delivery/written-ranges.ts'
import { pendingMessage, positionChange } from '../../support/builders.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { ScriptedStore } from '../../support/scripted-store.ts'

/** A connection of bob as far as a replay sees it: live pushes go through `push`, as in a connection. */
function bobsSocket(store: ScriptedStore, clock: FakeClock) {
  const seen: string[] = []
  const state = { isOpen: true, isUpToDate: false, keepsAll: true, pages: 0, promised: [] as number[] }
  const written = new WrittenRanges()
  const onReplayed: ((seq: number, other: string) => void)[] = []
  const target: ReplayTarget = {
    userId: 'bob',
    get isOpen() {
      return state.isOpen
    },
    get keepsAll() {
      return state.keepsAll
    },
    willReplayUpTo: ({ seq }) => void state.promised.push(seq),
    replayed({ sender_id, receiver_id, seq }) {
      const other = sender_id === 'bob' ? receiver_id : sender_id
      seen.push(`${other} ${seq}`)
      for (const listener of onReplayed) listener(seq, other)
    },
    room: async () => {
      state.pages += 1
    },
    upToDate() {
      state.isUpToDate = true
    },
  }
  const replay = new Replay(new StoredPages(store, clock, 2), target, written)
  const push = (other: string, seq: number) => {
    if (!state.isUpToDate) replay.bring(other, seq, seq)
    else if (!written.has(other, seq)) seen.push(`${other} ${seq}`)
  }
  /** What was written to the socket did not get through. */
  const drop = (other: string, seq: number) => {
    written.forgetFrom(other, seq)
    replay.bring(other, seq, seq)
  }
  return { replay, seen, state, written, push, drop, onReplayed }
}

async function setUp(...written: readonly [from: string, count: number][]) {
  const clock = new FakeClock()
  const store = new ScriptedStore(() => clock.now())
  const write = (from: string, count = 1) =>
    store.commit(
      Array.from({ length: count }, () => pendingMessage(from, 'bob')),
      [],
      'fast',
    )
  for (const [from, count] of written) await write(from, count)
  return { clock, store, write, ...bobsSocket(store, clock) }
}

const upTo = (other: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${other} ${from + index}`)

describe('a replay', () => {
  test('brings everything unacknowledged, each conversation in order, and nothing else', async () => {
    const { store, replay, seen, written } = await setUp(['ann', 5], ['cid', 2], ['dan', 3])
    await store.commit([], [positionChange('bob', 'ann', { delivered: 3 })], 'fast')
    await store.commit([], [positionChange('bob', 'dan', { delivered: 3 })], 'fast')
    await replay.bringBacklog()
    await replay.run()
    expect(seen.sort()).toEqual([...upTo('ann', 4, 5), ...upTo('cid', 1, 2)])
    const repeats = ['ann', 'cid', 'dan'].map((other) => [1, 2, 3, 4, 5, 6].filter((seq) => written.has(other, seq)))
    expect(repeats).toEqual([[4, 5], [1, 2], []])
  })

  test('reads a long backlog page by page, and waits for room before each', async () => {
    const { replay, seen, state } = await setUp(['ann', 450])
    await replay.bringBacklog()
    await replay.run()
    expect(seen).toEqual(upTo('ann', 1, 450))
    expect(state.pages).toBe(5)
    // Known before its page is written, so that an acknowledgement asks the store for none.
    expect(state.promised).toEqual([100, 200, 300, 400, 450])
  })

  test('is up to date at once when nothing is lacking', async () => {
    const { replay, seen, state } = await setUp()
    await replay.bringBacklog()
    await replay.run()
    expect(seen).toEqual([])
    expect(state.isUpToDate).toBe(true)
    expect(state.pages).toBe(0)
  })

  test('brings what was asked for while it ran, once', async () => {
    const { write, replay, seen, push } = await setUp(['ann', 2])
    await replay.bringBacklog()
    const running = replay.run()
    await write('ann', 2)
    push('ann', 3)
    push('ann', 4)
    await write('cid')
    push('cid', 1)
    await running
    expect(seen).toEqual([...upTo('ann', 1, 4), 'cid 1'])
  })

  test('brings a message again that was lost after it was written, and what followed', async () => {
    const { replay, seen, state, drop, onReplayed } = await setUp(['ann', 6])
    state.keepsAll = false
    let drops = 2
    onReplayed.push((seq, other) => {
      if (seq === 4 && drops-- > 0) queueMicrotask(() => drop(other, seq))
    })
    await replay.bringBacklog()
    await replay.run()
    expect(seen).toEqual([...upTo('ann', 1, 6), ...upTo('ann', 4, 6), ...upTo('ann', 4, 6)])
  })

  test.each([true, false])(
    'that keeps all it is given (%s) is up to date in the call that writes the last page',
    async (keepsAll) => {
      const { replay, state, onReplayed } = await setUp(['ann', 150])
      state.keepsAll = keepsAll
      const inSameCall: boolean[] = []
      onReplayed.push((seq) => {
        if (seq === 100 || seq === 150) queueMicrotask(() => inSameCall.push(state.isUpToDate))
      })
      await replay.bringBacklog()
      await replay.run()
      expect(inSameCall).toEqual([false, keepsAll])
      expect(state.isUpToDate).toBe(true)
    },
  )

  test('brings a message again that was lost in the very call that wrote it', async () => {
    const { replay, seen, drop, onReplayed } = await setUp(['ann', 6])
    let drops = 1
    onReplayed.push((seq, other) => {
      if (seq === 4 && drops-- > 0) drop(other, seq)
    })
    await replay.bringBacklog()
    await replay.run()
    expect(seen.slice(seen.lastIndexOf('ann 4'))).toEqual(upTo('ann', 4, 6))
    expect(seen.filter((one) => one === 'ann 4')).toHaveLength(2)
  })

  test('brings what was noted behind the end of the page that was being read', async () => {
    const { store, write, replay, seen, push } = await setUp(['ann', 1])
    const { page } = store
    store.page = async (...args) => {
      const result = await page.apply(store, args)
      if (args[1].after !== 0) return result
      // One message that the page holds is announced late, one that it does not hold at once.
      push('ann', 1)
      await write('ann')
      push('ann', 2)
      return result
    }
    await replay.bringBacklog()
    await replay.run()
    expect(seen).toEqual(upTo('ann', 1, 2))
  })

  test('that is unsure brings all that is not acknowledged, also behind what it wrote before', async () => {
    const { replay, seen, write } = await setUp(['ann', 1])
    await replay.bringBacklog()
    await replay.run()
    await write('ann', 2)
    replay.bringUnacknowledged('ann')
    // The push of the third came, that of the second was lost.
    replay.bring('ann', 3, 3)
    await replay.run()
    expect(seen).toEqual(upTo('ann', 1, 3))
  })

  test('takes the lowest of what is asked for', async () => {
    const { replay, seen } = await setUp(['ann', 5])
    replay.bring('ann', 4, 4)
    replay.bring('ann', 2, 2)
    replay.bring('ann', 5, 5)
    await replay.run()
    expect(seen).toEqual(upTo('ann', 2, 5))
  })

  test('of a closed connection ends without a word', async () => {
    const { replay, seen, state, onReplayed } = await setUp(['ann', 250])
    onReplayed.push((seq) => {
      if (seq === 100) state.isOpen = false
    })
    await replay.bringBacklog()
    await replay.run()
    expect(seen).toEqual(upTo('ann', 1, 100))
    expect(state.isUpToDate).toBe(false)
  })

  test('survives reads that fail four times', async () => {
    const { store, clock, replay, seen } = await setUp(['ann', 2])
    store.failingReads = 4
    const running = replay.bringBacklog().then(() => replay.run())
    await clock.advance(10_000)
    await running
    expect(seen).toEqual(upTo('ann', 1, 2))
  })

  test.each(['backlog', 'page'])(
    'fails when reading the %s fails five times, and is never up to date',
    async (read) => {
      const { store, clock, replay, seen, state } = await setUp(['ann', 2])
      if (read === 'page') replay.bring('ann', 1, 1)
      store.failingReads = 5
      const running = read === 'page' ? replay.run() : replay.bringBacklog()
      const failure = running.then(
        () => 'came through',
        (error: Error) => error.name,
      )
      await clock.advance(10_000)
      expect(await failure).toBe('StoreUnavailable')
      expect(seen).toEqual([])
      expect(state.isUpToDate).toBe(false)
    },
  )
})

test('whatever the order of commits, pushes and reads, each message is seen once and in order', async () => {
  const people = ['ann', 'cid']
  const plan = fc.array(fc.constantFrom(...people), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), plan, fc.integer({ min: 0, max: 3 }), async (scheduler, authors, before) => {
      const { store, write, replay, seen, push, clock } = await setUp(['ann', before])
      const pause = () => scheduler.schedule(Promise.resolve())
      const { page, backlog } = store
      store.page = async (...args) => {
        await pause()
        const result = await page.apply(store, args)
        await pause()
        return result
      }
      store.backlog = async (user) => {
        const result = await backlog.call(store, user)
        await pause()
        return result
      }
      // One writer, so commits and their pushes come in order; what a push says was committed before.
      const heads = new Map([['ann', before]])
      const writing = async () => {
        for (const author of authors) {
          await pause()
          await write(author)
          const seq = (heads.get(author) ?? 0) + 1
          heads.set(author, seq)
          await pause()
          push(author, seq)
        }
      }
      await scheduler.waitFor(Promise.all([writing(), replay.bringBacklog().then(() => replay.run())]))
      for (const person of people) {
        const own = seen.filter((one) => one.startsWith(person))
        expect(own).toEqual(upTo(person, 1, heads.get(person) ?? 0))
      }
      expect(clock.pending).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('whatever is lost on the way, and whenever that is noticed, nothing stays missing', async () => {
  const loss = fc.tuple(fc.integer({ min: 1, max: 250 }), fc.constantFrom('at once', 'in this turn', 'while reading'))
  await fc.assert(
    fc.asyncProperty(fc.array(loss, { maxLength: 8 }), fc.integer({ min: 1, max: 250 }), async (losses, count) => {
      const { store, replay, seen, state, drop, onReplayed } = await setUp(['ann', count])
      state.keepsAll = losses.every(([, when]) => when === 'at once')
      const left = [...losses]
      const unnoticed: (() => void)[] = []
      onReplayed.push((seq, other) => {
        const index = left.findIndex(([at]) => at === seq)
        if (index < 0) return
        const when = left.splice(index, 1)[0]?.[1]
        seen.pop()
        const lost = () => drop(other, seq)
        if (when === 'at once') lost()
        else if (when === 'in this turn' || count - seq < 100) queueMicrotask(lost)
        else unnoticed.push(lost)
      })
      const { page } = store
      store.page = async (...args) => {
        const result = await page.apply(store, args)
        for (const lost of unnoticed.splice(0)) lost()
        return result
      }
      await replay.bringBacklog()
      await replay.run()
      // A client applies the next and drops what it has; what it misses the replay has to bring.
      let last = 0
      for (const one of seen) if (one === `ann ${last + 1}`) last += 1
      expect(last).toBe(count)
    }),
    { numRuns: 300 },
  )
})

describe('stored pages', () => {
  const reader = (userId: string) => ({ userId, isOpen: true })

  test('are read a few at a time over all connections, failed attempts included', async () => {
    const clock = new FakeClock()
    const store = new ScriptedStore(() => clock.now())
    let reading = 0
    let most = 0
    store.backlog = async () => {
      reading += 1
      most = Math.max(most, reading)
      await settled()
      reading -= 1
      if (most < 3) throw new Error('not yet')
      return { found: [], asOfMs: 0 }
    }
    const pages = new StoredPages(store, clock, 3)
    const reads = Promise.all(Array.from({ length: 20 }, (_, index) => pages.backlog(reader(`user ${index}`))))
    await clock.advance(10_000)
    expect(await reads).toHaveLength(20)
    expect(most).toBe(3)
  })

  test('wait longer from attempt to attempt, and hold no place meanwhile', async () => {
    const clock = new FakeClock()
    const store = new ScriptedStore(() => clock.now())
    const pages = new StoredPages(store, clock, 1)
    store.failingReads = 1
    const slow = pages.backlog(reader('ann'))
    await settled()
    expect(await pages.backlog(reader('bob'))).toMatchObject({ found: [] })
    await clock.advance(10_000)
    expect(await slow).toMatchObject({ found: [] })
  })

  test('are not read for who has gone while waiting for a place, or for the next attempt', async () => {
    const clock = new FakeClock()
    const store = new ScriptedStore(() => clock.now())
    const pages = new StoredPages(store, clock, 1)
    const reads: string[] = []
    store.backlog = async (user) => {
      reads.push(user)
      await settled()
      throw new Error('not now')
    }
    const [slow, gone] = [reader('slow'), reader('gone')]
    const answers = Promise.all([slow, gone].map((one) => pages.backlog(one)))
    gone.isOpen = false
    await settled()
    slow.isOpen = false
    await clock.advance(10_000)
    expect(await answers).toEqual([undefined, undefined])
    expect(reads).toEqual(['slow'])
  })
})
