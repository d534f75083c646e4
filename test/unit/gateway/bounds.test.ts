// However much one client asks, what hangs behind the gateway holds no more than a fixed number of its calls.
import { describe, expect, test } from 'vitest'
import { Continuity } from '../../../src/delivery/continuity.ts'
import { ClusterFanout } from '../../../src/delivery/fanout.cluster.ts'
import { COMMAND_TYPES } from '../../../src/gateway/command-table.ts'
import { CODECS } from '../../../src/gateway/wire/codec.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import type { Presence } from '../../../src/presence/presence.ts'
import { PresenceWatches } from '../../../src/presence/watches.ts'
import type { Command, CommandOf } from '../../../src/protocol/commands.ts'
import { MAX_READS_WAITING, MAX_SENDS_IN_FLIGHT, MAX_WATCHED } from '../../../src/protocol/limits.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

const FRAMES = 10_000
const LOOKS_AT_ONCE = 4

const person = (number: number) => `0190b6f1-0000-7000-8000-${String(number).padStart(12, '0')}`
const people = (number: number) => Array.from({ length: 50 }, (_, index) => person(50 * number + index))

/** The n-th frame of each command, each about somebody else. A command without an entry does not compile. */
const FRAME: { readonly [Type in Command['type']]: (number: number) => Omit<CommandOf<Type>, 'type'> } = {
  send: (number) => ({ receiver_id: person(number), content: 'x' }),
  ack: (number) => ({ with: person(number), seq: 1 }),
  read: (number) => ({ with: person(number), seq: 1 }),
  typing: (number) => ({ receiver_id: person(number) }),
  history: (number) => ({ with: person(number) }),
  conversations: () => ({}),
  sync: () => ({}),
  watch: (number) => ({ user_ids: people(number) }),
  unwatch: (number) => ({ user_ids: people(number) }),
  auth: () => ({ token: 'x' }),
  state: (number) => ({ active: number % 2 === 0 }),
  ping: () => ({}),
}

/** A gateway behind which nothing ever answers, and how many calls of each kind are waiting there. */
function hangingBench() {
  const pending: Record<string, number> = {}
  const hang = (kind: string) => (): Promise<never> => {
    pending[kind] = (pending[kind] ?? 0) + 1
    return new Promise(() => undefined)
  }
  const ignore = (): void => undefined
  const presence: Presence = {
    connected: ignore,
    disconnected: ignore,
    drain: ignore,
    online: hang('online'),
    states: hang('states'),
    watch: hang('watch'),
    unwatch: ignore,
    listen: ignore,
    close: () => Promise.resolve(),
  }
  const broker = {
    isConnected: true,
    listen: ignore,
    subscribe: hang('subscribe'),
    unsubscribe: ignore,
    add: ignore,
    flush: ignore,
    offer: ignore,
    tell: ignore,
    close: () => Promise.resolve(),
  }
  const bench = gatewayBench(({ connections, clock }) => ({
    presence,
    watches: new PresenceWatches({ presence, clock, graceMs: 5_000, announce: ignore }),
    fanout: new ClusterFanout({
      users: connections,
      broker,
      continuity: new Continuity({ clock, replay: ignore }),
      heads: new KnownHeads(),
      json: CODECS.json,
      comparedMs: () => 0,
      arrived: hang('arrived'),
    }),
  }))
  for (const read of ['page', 'lastSeq', 'conversations', 'changes', 'backlog'] as const)
    bench.store[read] = hang('read')
  bench.store.commit = hang('commit')
  return { ...bench, pending }
}

describe.each(COMMAND_TYPES)('10,000 frames of the command %s', (type) => {
  test('leave no more waiting than a fixed number, whoever hangs', async () => {
    const { connect, pending, services, writer, clock } = hangingBench()
    const { say, connection } = connect(person(0))
    for (let number = 1; number <= FRAMES; number += 1) {
      say({ type, ...FRAME[type](number) })
      if (number % 100 === 0) await settled()
    }
    const { read = 0, commit = 0, states = 0, watch = 0, subscribe = 0, arrived = 0 } = pending
    expect(read + states).toBeLessThanOrEqual(LOOKS_AT_ONCE)
    expect(commit + subscribe + arrived).toBeLessThanOrEqual(3)
    expect(watch).toBeLessThanOrEqual(MAX_WATCHED)
    expect(connection.turns.waiting).toBeLessThanOrEqual(MAX_READS_WAITING)
    expect(services.answersUnderWay.size).toBeLessThanOrEqual(LOOKS_AT_ONCE + MAX_READS_WAITING)
    expect(connection.sendsInFlight).toBeLessThanOrEqual(MAX_SENDS_IN_FLIGHT)
    expect(writer.queuedRows).toBeLessThanOrEqual(MAX_SENDS_IN_FLIGHT)
    expect(clock.pending).toBeLessThanOrEqual(MAX_READS_WAITING + 10)
  })
})

test('watching and unwatching by turns leaves no more waiting than a fixed number', async () => {
  const { connect, pending, services } = hangingBench()
  const { say, events } = connect(person(0))
  for (let number = 1; number <= FRAMES; number += 1) {
    say({ type: 'watch', user_ids: [person(number)] })
    say({ type: 'unwatch', user_ids: [person(number)] })
  }
  await settled()
  expect(pending['watch']).toBeLessThanOrEqual(LOOKS_AT_ONCE + MAX_READS_WAITING)
  expect(services.answersUnderWay.size).toBe(LOOKS_AT_ONCE + MAX_READS_WAITING)
  expect(events('error')).toHaveLength(FRAMES - LOOKS_AT_ONCE - MAX_READS_WAITING)
  expect(events('error')[0]).toMatchObject({ code: 'too_many_in_flight' })
})
