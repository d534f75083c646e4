// One instance of the service without its sockets: alone, or one of several over the same store.
import { Arrivals } from '../../src/delivery/arrivals.ts'
import { MemoryBrokerHub } from '../../src/delivery/broker.memory.ts'
import { Comparison } from '../../src/delivery/comparison.ts'
import { Continuity } from '../../src/delivery/continuity.ts'
import { ClusterFanout } from '../../src/delivery/fanout.cluster.ts'
import { LocalFanout } from '../../src/delivery/fanout.local.ts'
import type { Fanout } from '../../src/delivery/fanout.ts'
import { Healing } from '../../src/delivery/healing.ts'
import { StoredPages } from '../../src/delivery/stored-pages.ts'
import type { ConnectionServices } from '../../src/gateway/connection.ts'
import { connectionServices } from '../../src/gateway/connection-services.ts'
import { Connections } from '../../src/gateway/connections.ts'
import { ServerTime } from '../../src/gateway/server-time.ts'
import { CODECS } from '../../src/gateway/wire/codec.ts'
import { DependencyLog } from '../../src/lib/dependency-log.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import type { MessageService } from '../../src/messages/service.ts'
import type { MessageStore } from '../../src/messages/store.ts'
import type { MessageWriter } from '../../src/messages/writer.ts'
import { MemoryPresence } from '../../src/presence/presence.memory.ts'
import { PresenceWatches } from '../../src/presence/watches.ts'
import { unlimitedGuard } from './builders.ts'
import { messagesOver } from './messages.ts'
import { type Activity, impatientClock } from './model-faults.ts'
import { silentLogger } from './silent-logger.ts'

/** A stalled socket lags above it; in frames, each counted as one byte. */
export const MAX_HELD_FRAMES = 2

/** What becomes of a batch on its way to one other instance; a late one is overtaken by those that follow. */
export type BatchFate = 'arrives' | 'late' | 'lost'

export interface ModelInstance {
  readonly services: ConnectionServices
  readonly messages: MessageService
  readonly writer: MessageWriter
}

const LATE_TURNS = 5
const ignore = (): void => undefined
const LIMITS = { maxQueueBytes: 1e7, maxQueueAgeMs: 60_000, maxBatchRows: 7 }

export function instanceAlone(store: MessageStore, activity: Activity): ModelInstance {
  const connections = new Connections()
  return instanceOf(store, activity, { connections, fanout: new LocalFanout(connections), heads: new KnownHeads() })
}

/** Between them batches of pushes get late or lost, as told; a loss is told later, as the broker's contract has it. */
export function instancesOver(store: MessageStore, activity: Activity, fates: readonly BatchFate[]): ModelInstance[] {
  const left = [...fates]
  const hub = new MemoryBrokerHub((deliver, lost) => {
    const fate = left.shift() ?? 'arrives'
    inTurns(activity, fate === 'arrives' ? 1 : LATE_TURNS, fate === 'lost' ? lost : deliver)
  })
  return [0, 1].map(() => instanceAmongOthers(store, activity, hub))
}

function inTurns(activity: Activity, turns: number, task: () => void): void {
  activity.later(() => (turns === 1 ? task() : inTurns(activity, turns - 1, task)))
}

function instanceAmongOthers(store: MessageStore, activity: Activity, hub: MemoryBrokerHub): ModelInstance {
  const clock = impatientClock(activity)
  const broker = hub.connect()
  const heads = new KnownHeads()
  const users = new Connections()
  const continuity = new Continuity({
    clock,
    replay: (user, address, fromSeq, known) => {
      for (const recipient of users.of(user)) recipient.replayFrom(address, fromSeq, known)
    },
  })
  const health = new DependencyLog({ dependency: 'healing', logger: silentLogger, clock })
  const comparison: Comparison = new Comparison({
    store,
    users,
    continuity,
    clock,
    announced: () => instance.messages.allSettled(),
  })
  const healing = new Healing({
    comparison,
    users,
    clock,
    health,
    observer: { healed: ignore, healFailed: ignore },
    isConnected: () => true,
  })
  const arrivals = new Arrivals({ store, continuity, health })
  const fanout = new ClusterFanout({
    users,
    broker,
    continuity,
    heads,
    json: CODECS.json,
    comparedMs: () => healing.comparedMs,
    arrived: (user, sinceMs) => arrivals.arrived(user, sinceMs),
  })
  broker.listen({
    received: (userId, envelopes) => fanout.received(userId, envelopes),
    told: () => undefined,
    gap: () => healing.gap(),
  })
  const instance: ModelInstance = instanceOf(store, activity, { connections: users, fanout, heads })
  return instance
}

interface Parts {
  readonly connections: Connections
  readonly fanout: Fanout
  readonly heads: KnownHeads
}

function instanceOf(store: MessageStore, activity: Activity, { connections, fanout, heads }: Parts): ModelInstance {
  const clock = impatientClock(activity)
  const presence = new MemoryPresence(clock)
  const { messages, writer } = messagesOver({ store, clock, listeners: [fanout], limits: LIMITS, heads })
  const services = connectionServices({
    messages,
    presence,
    watches: new PresenceWatches({ presence, clock, graceMs: 5_000, announce: ignore }),
    fanout,
    audience: { changed: ignore },
    guard: unlimitedGuard(),
    pages: new StoredPages(store, clock, 2),
    clock,
    serverTime: new ServerTime(clock),
    epoch: { current: 'the first' },
    logger: silentLogger,
    connections,
    answersUnderWay: new Set(),
    tokenLives: undefined,
    observer: { commandRefused: () => undefined },
    limits: {
      maxContentBytes: 1000,
      maxConnectionsPerUser: 10,
      maxBackpressureBytes: MAX_HELD_FRAMES,
      laggingTimeoutMs: 60_000,
      heartbeatSeconds: 32,
    },
  })
  return { services, messages, writer }
}
