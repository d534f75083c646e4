import { beforeEach, describe, expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { Epoch } from '../../../src/messages/epoch.ts'
import type { EpochRecord, EpochStore } from '../../../src/messages/epoch-store.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { KnownPositions } from '../../../src/messages/known-positions.ts'
import { positionChange } from '../../support/builders.ts'
import { silentHealth } from '../../support/databases.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

/** The database's row, which instances share. */
class Row implements EpochStore {
  record: EpochRecord = { epoch: 'first', renewedAt: 1, movedBecause: undefined, session: '1' }
  readonly reasons: string[] = []
  isAway = false
  reads = 0

  async read(): Promise<EpochRecord> {
    this.reads += 1
    if (this.isAway) throw new Error('away')
    return this.record
  }

  async renew(seen: EpochRecord, because: string): Promise<EpochRecord> {
    if (this.isAway) throw new Error('away')
    if (seen.epoch === this.record.epoch) {
      this.reasons.push(because)
      const renewedAt = this.record.renewedAt + 1
      this.record = { ...this.record, epoch: `renewed ${this.reasons.length}`, renewedAt, movedBecause: undefined }
    }
    return this.record
  }
}

const CONVERSATION = conversationBetween('ann', 'bob')

let clock: FakeClock
let row: Row
/** What the database says of the one conversation. */
let head: number
/** How often it was asked for heads. */
let comparisons: number
/** How often it was to be asked over another session. */
let sessions: number

beforeEach(() => {
  clock = new FakeClock()
  row = new Row()
  head = 20
  comparisons = 0
  sessions = 0
})

async function instance() {
  const heads = new KnownHeads()
  const positions = new KnownPositions()
  const reads = {
    isAway: false,
    async lastSeqs(asked: readonly unknown[]) {
      if (reads.isAway) throw new Error('away')
      comparisons += 1
      return asked.map(() => head)
    },
  }
  const renewSession = (): void => {
    sessions += 1
  }
  const options = {
    store: row,
    renewSession,
    reads,
    heads,
    positions,
    clock,
    logger: silentLogger,
    health: silentHealth,
  }
  const unstarted = new Epoch(options)
  const epoch = new Epoch(options)
  const renewals: string[] = []
  epoch.whenRenewed(() => renewals.push(epoch.current))
  await epoch.start()
  return { epoch, unstarted, heads, reads, positions, renewals }
}

describe('an epoch', () => {
  test('stays while the database does, whatever its connections do', async () => {
    const { epoch, heads, renewals } = await instance()
    heads.saw(CONVERSATION, 20)
    epoch.serverLost()
    await clock.advance(10_000)
    expect(epoch.current).toBe('first')
    expect(renewals).toEqual([])
    expect(row.reasons).toEqual([])
  })

  test('stays however many heads are compared, which are asked for in parts', async () => {
    const { epoch, heads } = await instance()
    for (let peer = 0; peer < 1200; peer += 1) heads.saw(conversationBetween('ann', `peer${peer}`), 20)
    epoch.serverLost()
    await clock.advance(1_000)
    expect(heads.doubted(10)).toEqual([])
    expect(epoch.current).toBe('first')
    expect(row.reasons).toEqual([])
  })

  test('that begins with the start is told to nobody', async () => {
    row.record = { ...row.record, movedBecause: 'this is another server' }
    const { epoch, renewals } = await instance()
    expect(epoch.current).toBe('renewed 1')
    expect(renewals).toEqual([])
  })

  test('ends when the database has moved, which is found by looking', async () => {
    const { renewals } = await instance()
    row.record = { ...row.record, movedBecause: 'its timeline is 2 and was 1' }
    await clock.advance(1_000)
    expect(renewals).toEqual(['renewed 1'])
    expect(row.reasons).toEqual(['its timeline is 2 and was 1'])
  })

  test('is renewed where the database has moved before anything is read there', async () => {
    const { epoch, heads, renewals } = await instance()
    heads.saw(CONVERSATION, 20)
    row.record = { ...row.record, movedBecause: 'its timeline is 2 and was 1' }
    epoch.serverLost()
    await settled()
    expect([renewals, comparisons]).toEqual([['renewed 1'], 0])
  })

  test('from before the present one does not come back', async () => {
    const { epoch, renewals } = await instance()
    const old = row.record
    await epoch.renew('an operator says so')
    row.record = old
    await clock.advance(1_000)
    expect(renewals).toEqual(['renewed 1', 'renewed 2'])
  })

  test('renewed by one instance is taken by the others, once', async () => {
    const [one, two] = [await instance(), await instance()]
    await one.epoch.renew('an operator says so')
    await clock.advance(5_000)
    expect([one.renewals, two.renewals]).toEqual([['renewed 1'], ['renewed 1']])
    expect(row.reasons).toEqual(['an operator says so'])
  })

  test('that two instances find at an end is renewed once', async () => {
    const [one, two] = [await instance(), await instance()]
    for (const { heads } of [one, two]) heads.saw(CONVERSATION, 20)
    head = 10
    for (const { heads } of [one, two]) heads.locked(CONVERSATION, 10)
    await clock.advance(5_000)
    expect(row.reasons).toHaveLength(1)
    expect([one.renewals, two.renewals]).toEqual([['renewed 1'], ['renewed 1']])
  })

  test('whose end is found here after another instance found it is not ended a second time', async () => {
    const [one, two] = [await instance(), await instance()]
    two.heads.saw(CONVERSATION, 20)
    await one.epoch.renew('an operator says so')
    two.heads.locked(CONVERSATION, 10)
    await clock.advance(5_000)
    expect(row.reasons).toEqual(['an operator says so'])
    expect(two.renewals).toEqual(['renewed 1'])
  })

  test('is renewed when the database is back, if it is away', async () => {
    const { epoch, renewals } = await instance()
    row.isAway = true
    const renewed = epoch.renew('an operator says so')
    await clock.advance(10_000)
    expect(renewals).toEqual([])
    row.isAway = false
    await clock.advance(2_000)
    await renewed
    expect(renewals).toEqual(['renewed 1'])
  })

  test('is looked at every second, and no more once it is stopped', async () => {
    const { epoch } = await instance()
    await clock.advance(5_000)
    expect(row.reads).toBe(6)
    await epoch.stop()
    await clock.advance(5_000)
    expect(row.reads).toBe(6)
    expect(clock.pending).toBe(0)
  })
})

describe('what is known of a server that was lost', () => {
  test('is no bound any more, and shows at the first look whether anything is gone', async () => {
    const { epoch, heads, renewals } = await instance()
    heads.saw(CONVERSATION, 20)
    head = 10
    epoch.serverLost()
    expect(heads.of(CONVERSATION)).toBe(0)
    await settled()
    expect(renewals).toEqual(['renewed 1'])
    expect(heads.doubted(10)).toEqual([])
  })

  test('is doubted once, however often the look that compares it fails', async () => {
    const { epoch, heads, reads } = await instance()
    heads.saw(CONVERSATION, 20)
    row.record = { ...row.record, session: 'another' }
    reads.isAway = true
    void epoch.look()
    await clock.advance(500)
    expect(heads.doubted(10)).toMatchObject([{ conversation: CONVERSATION, seq: 20 }])
    const later = conversationBetween('ann', 'cid')
    heads.saw(later, 7)
    await clock.advance(5_000)
    expect(heads.of(later)).toBe(7)
    reads.isAway = false
    await clock.advance(5_000)
    expect([heads.of(CONVERSATION), heads.of(later)]).toEqual([20, 7])
  })

  test('and of which nothing is gone needs no second look', async () => {
    const { epoch, heads } = await instance()
    heads.saw(CONVERSATION, 20)
    epoch.serverLost()
    await settled()
    expect(heads.doubted(10)).toEqual([])
  })

  test('are no positions: the same acknowledgement is stored again', async () => {
    const { epoch, positions } = await instance()
    const change = positionChange('bob', 'ann', { delivered: 20 })
    positions.stored(change)
    expect(positions.isNew(change)).toBe(false)
    epoch.serverLost()
    expect(positions.isNew(change)).toBe(true)
  })

  test('is doubted as well where the looks alone had a session there, as while nobody writes', async () => {
    const { heads, positions, renewals } = await instance()
    const change = positionChange('bob', 'ann', { delivered: 20 })
    heads.saw(CONVERSATION, 20)
    positions.stored(change)
    row.record = { ...row.record, session: '2' }
    await clock.advance(1_000)
    expect([heads.of(CONVERSATION), positions.isNew(change), renewals]).toEqual([20, true, []])
    head = 10
    row.record = { ...row.record, session: '3' }
    await clock.advance(1_000)
    expect(renewals).toEqual(['renewed 1'])
  })

  test('is compared with a read, which by itself proves nothing: it may be older than what is known', async () => {
    const { epoch, heads, renewals } = await instance()
    heads.saw(CONVERSATION, 20)
    row.isAway = true
    epoch.serverLost()
    heads.read(CONVERSATION, 19)
    row.isAway = false
    await clock.advance(3_000)
    expect(renewals).toEqual([])
  })

  test('is compared under the lock of the next commit, which proves it', async () => {
    const { heads, renewals } = await instance()
    heads.saw(CONVERSATION, 20)
    heads.doubt()
    heads.saw(CONVERSATION, 5)
    heads.doubt()
    heads.locked(CONVERSATION, 19)
    await settled()
    expect(renewals).toEqual(['renewed 1'])
  })
})

describe('a new session', () => {
  test('is confirmed by what it sees, without a look, while that is the epoch that is known', async () => {
    const { epoch } = await instance()
    const before = row.reads
    await epoch.confirm(row)
    expect(row.reads).toBe(before + 1)
  })

  test('needs nothing before the start has looked', async () => {
    const { unstarted } = await instance()
    row.isAway = true
    await unstarted.confirm(row)
    expect(unstarted.current).toBe('')
  })

  test('of a server that has moved is confirmed once everybody was told of the new epoch', async () => {
    const { epoch, renewals } = await instance()
    row.record = { ...row.record, movedBecause: 'its timeline is 2 and was 1' }
    await epoch.confirm(row)
    expect(renewals).toEqual(['renewed 1'])
  })

  test('of a server whose epoch another instance has renewed is confirmed once it is told here', async () => {
    const [one, two] = [await instance(), await instance()]
    await one.epoch.renew('an operator says so')
    expect(two.renewals).toEqual([])
    await two.epoch.confirm(row)
    expect(two.renewals).toEqual(['renewed 1'])
  })

  test('waits while it is known that the epoch is over and not written down', async () => {
    const { epoch, heads, renewals } = await instance()
    heads.saw(CONVERSATION, 20)
    head = 10
    expect(heads.locked(CONVERSATION, 10)).toBe(false)
    await epoch.confirm(row)
    expect(renewals).toEqual(['renewed 1'])
    expect(heads.locked(CONVERSATION, 10)).toBe(true)
  })

  test('is read from while it sees the epoch that is known, and otherwise makes for a look', async () => {
    const { epoch, renewals } = await instance()
    await epoch.recognize(row)
    row.record = { ...row.record, movedBecause: 'its timeline is 2 and was 1' }
    await expect(epoch.recognize(row)).rejects.toThrow('another epoch')
    await settled()
    expect([renewals, sessions]).toEqual([['renewed 1'], 1])
    await epoch.recognize(row)
  })

  test('that sees another server than the looks do is refused', async () => {
    const { epoch } = await instance()
    const elsewhere = new Row()
    elsewhere.record = { ...elsewhere.record, epoch: 'elsewhere' }
    await expect(epoch.confirm(elsewhere)).rejects.toThrow('another epoch')
    expect(epoch.current).toBe('first')
    // The looks may be those that ask the wrong one.
    expect(sessions).toBe(1)
  })
})

describe('after a renewal', () => {
  test('nothing is known any more', async () => {
    const { epoch, heads, positions } = await instance()
    const change = positionChange('bob', 'ann', { delivered: 20 })
    heads.saw(CONVERSATION, 20)
    positions.stored(change)
    await epoch.renew('an operator says so')
    expect(heads.of(CONVERSATION)).toBe(0)
    expect(positions.isNew(change)).toBe(true)
  })

  test('a listener that fails keeps it from no other', async () => {
    const { epoch } = await instance()
    const heard: string[] = []
    epoch.whenRenewed(() => {
      throw new Error('a listener fails')
    })
    epoch.whenRenewed(() => heard.push(epoch.current))
    await epoch.renew('an operator says so')
    expect(heard).toEqual(['renewed 1'])
  })
})

test('a head that another commit is ahead of is no sign of anything', async () => {
  const { heads, renewals } = await instance()
  heads.locked(CONVERSATION, 19)
  heads.saw(CONVERSATION, 20)
  heads.locked(CONVERSATION, 20)
  heads.read(CONVERSATION, 18)
  await settled()
  expect(renewals).toEqual([])
  expect(heads.of(CONVERSATION)).toBe(20)
})
