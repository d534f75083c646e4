import { describe, expect, test } from 'vitest'
import { check } from './checker.ts'
import type { AnomalyName } from './findings.ts'
import type { Entry, Event, Row } from './history.ts'

/** A history of events one millisecond apart. */
const timed = (events: readonly Event[]): Entry[] => events.map((event, t) => ({ ...event, t }))
const found = (events: readonly Event[], expectLive = true): string[] =>
  check([timed(events)], { expectLive }).anomalies.map(({ name }) => name)

const send = (id: string, c = 'c1', from = 'a', to = 'b'): Event => ({ e: 'invoke', id, from, to, c })
const ok = (id: string, seq: number): Event => ({ e: 'ok', id, seq })
const fail = (id: string): Event => ({ e: 'fail', id, code: 'unavailable' })
const recv = (id: string, seq: number): Event => ({
  e: 'recv',
  d: 'b/0',
  u: 'b',
  w: 'a',
  c: 'x',
  seq,
  id,
  via: 'push',
})
const applied = (seq: number): Event => ({ e: 'applied', d: 'b/0', u: 'b', w: 'a', seq })
const standing = (stage: 'live' | 'final', seq: number): Event => ({
  e: 'standing',
  d: 'b/0',
  u: 'b',
  stage,
  heads: [['a', seq]],
})
const rows = (...ids: string[]): readonly Row[] => ids.map((id, index) => [index + 1, id, 'a', id])
const read = (all: readonly Row[]): Event => ({ e: 'read', u: 'a', w: 'b', rows: all })

const sound: Event[] = [
  send('m1'),
  send('m2'),
  ok('m1', 1),
  ok('m2', 2),
  recv('m1', 1),
  applied(1),
  recv('m2', 2),
  applied(2),
  { e: 'receipt', of: 'b', w: 'a', seq: 2 },
  { e: 'page', d: 'b/0', u: 'b', w: 'a', began: 4, after: 0, n: 2, last: 2, more: false },
  { e: 'synced', d: 'b/0', u: 'b', began: 4, heads: [['a', 2]] },
  standing('live', 2),
  standing('final', 2),
  read(rows('m1', 'm2')),
  { e: 'position', u: 'b', w: 'a', began: 50, seq: 2 },
]

test('a sound history has no anomaly, and is counted', () => {
  const { anomalies, counts } = check([timed(sound)], { expectLive: true })
  expect(anomalies).toEqual([])
  expect(counts).toEqual({
    sends: 2,
    acked: 2,
    failed: 0,
    unknown: 0,
    recovered: 0,
    conversations: 1,
    applied: 2,
    pages: 1,
    resumes: 1,
    deliveries: 2,
    redelivered: 0,
  })
})

describe('found:', () => {
  const cases: [string, AnomalyName, Event[]][] = [
    ['acked and gone', 'lost', [send('m1'), ok('m1', 1), read([])]],
    ['failed and stored', 'aborted', [send('m1'), fail('m1'), read(rows('m1'))]],
    ['failed and only seen', 'aborted', [send('m1'), fail('m1'), recv('m1', 1), read([])]],
    ['acked twice with other numbers', 'duplicate', [send('m1'), ok('m1', 1), ok('m1', 2), read(rows('m0', 'm1'))]],
    ['stored twice', 'duplicate', [send('m1'), ok('m1', 1), read([...rows('m1'), [2, 'm9', 'a', 'm1']])]],
    ['applied twice', 'visible duplicate', [...sound, applied(2)]],
    ['applied lower', 'visible duplicate', [...sound, applied(1)]],
    ['applied beyond a hole', 'skipped', [...sound, applied(4)]],
    ['another message under the number', 'inconsistent', [...sound, recv('m1', 2)]],
    ['stored under another number', 'inconsistent', [send('m1'), ok('m1', 2), read(rows('m1'))]],
    ['two readers, two logs', 'inconsistent', [...sound, read(rows('m2', 'm1'))]],
    ['a foreign text', 'inconsistent', [...sound, { ...recv('m1', 1), op: 'm7' } as Event]],
    [
      'sent after an ack, standing before it',
      'nonmonotonic send',
      [send('m1'), ok('m1', 2), send('m2', 'c2'), ok('m2', 1), read(rows('m2', 'm1'))],
    ],
    [
      'sent behind on one connection, standing before',
      'nonmonotonic send',
      [send('m1'), send('m2'), ok('m2', 1), ok('m1', 2), read(rows('m2', 'm1'))],
    ],
    ['a hole in the numbers', 'hole', [send('m1'), ok('m1', 2), read([[2, 'm1', 'a', 'm1']])]],
    [
      'a hole in a page',
      'hole',
      [...sound, { e: 'page', d: 'b/0', u: 'b', w: 'a', began: 0, after: 0, n: 1, last: 2, more: true }],
    ],
    ['stored without having been sent', 'phantom', [read(rows('m1'))]],
    ['seen, acked by nobody and not stored', 'phantom', [send('m1'), recv('m1', 1), read([])]],
    [
      'an empty page after an ack',
      'stale',
      [...sound, { e: 'page', d: 'b/0', u: 'b', w: 'a', began: 9, after: 0, n: 0, last: 0, more: false }],
    ],
    [
      'synced without what was acked',
      'stale',
      [...sound, { e: 'synced', d: 'b/0', u: 'b', began: 9, heads: [['a', 1]] }],
    ],
    ['not made up for', 'unhealed', [...sound, standing('live', 1)]],
    ['missing in the end', 'unseen', [...sound, standing('final', 1)]],
    ['a forgotten position', 'ack regression', [...sound, { e: 'position', u: 'b', w: 'a', began: 50, seq: 1 }]],
  ]
  test.each(cases)('%s', (_title, name, events) => {
    expect(found(events)).toContain(name)
  })
})

describe('not held against the service:', () => {
  test.each<[string, Event[]]>([
    ['an unknown outcome that was stored', [send('m1'), { e: 'info', id: 'm1' }, read(rows('m1'))]],
    ['an unknown outcome that was not', [send('m1'), { e: 'info', id: 'm1' }, read([])]],
    [
      'one attempt failed and another was acked',
      [send('m1'), fail('m1'), send('m1', 'c2'), ok('m1', 1), read(rows('m1'))],
    ],
    [
      'one attempt failed and another is unknown',
      [send('m1'), fail('m1'), send('m1', 'c2'), { e: 'info', id: 'm1' }, read(rows('m1'))],
    ],
    [
      'a repeated send that lost its place',
      [send('m1'), send('m2'), fail('m1'), ok('m2', 1), send('m1'), ok('m1', 2), read(rows('m2', 'm1'))],
    ],
    [
      'a page that began before the ack',
      [
        send('m1'),
        ok('m1', 1),
        { e: 'page', d: 'b/0', u: 'b', w: 'a', began: 0, after: 0, n: 0, last: 0, more: false },
        read(rows('m1')),
      ],
    ],
  ])('%s', (_title, events) => {
    expect(found(events)).toEqual([])
  })

  test('a position that was read before more was told', () => {
    expect(found([...sound, { e: 'position', u: 'b', w: 'a', began: 1, seq: 1 }])).toEqual([])
  })

  test('a device that is behind where nobody promised to heal it', () => {
    expect(found([...sound, standing('live', 1)], false)).toEqual([])
  })
})
