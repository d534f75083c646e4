// Plays in which one promise is attacked at its weakest moment. Each passes on the service as it is; the seeded bugs show that
// each can fail. All need two instances.
import { setTimeout as delay } from 'node:timers/promises'
import type { Patch } from './build.ts'
import { WRONG_CLOCKS } from './clocks.ts'
import { LARGE } from './history.ts'
import { SHORT_OUTAGES } from './outages.ts'
import { CUT_POINTS } from './postgres-proxy.ts'
import { onlineUsers } from './reading.ts'
import { sendByRest } from './rest-send.ts'
import { REWOUND } from './rewound.ts'
import type { Scenario } from './scenario.ts'
import { Stage } from './stage.ts'
import { unwritableLog } from './unwritable-log.ts'
import type { World } from './world.ts'

/** Every few seconds an instance compares heads although Redis is well; it would make up for whatever a trigger misses. */
export const LOOK: readonly Patch[] = [
  {
    file: 'delivery/healing.js',
    search: 'const SWEEP_INTERVAL_MS = 7_000;',
    replace: 'const SWEEP_INTERVAL_MS = Number.POSITIVE_INFINITY;',
  },
]

const ALWAYS_AFTER_ERROR = { afterError: 1, afterLoss: 0 }
/** Longer than the writer keeps a send that it could not store. */
const OUTAGE_MS = 2_600
/** Looks are seven seconds apart, begun by a clock that ticks every second. */
const LOOKED_WITHIN_MS = 10_000
/** The lease (11 s), two renewals, and some time for a slow machine. */
const LEASES_GONE_WITHIN_MS = 25_000
const DUPLICATE_FAILURES = 'messaging_batch_failures_total{failure="duplicate"}'

/** The link to PostgreSQL is cut at COMMIT and stays away, so that sends get a definite answer or none. */
async function outageAt(world: World, seed: number, point: 'before-commit' | 'after-commit'): Promise<string[]> {
  const stage = new Stage(world, seed)
  const { postgres } = world.instance(0)
  // No acks: the cut is to meet the sends, not the batch of somebody's position.
  const writer = await stage.device('writer', 0, { givesUp: ALWAYS_AFTER_ERROR, acks: false })
  await stage.device('reader', 1, { acks: false })
  const neighbour = await stage.device('neighbour', 0, { acks: false })
  stage.send(writer, 'reader', 3)
  await stage.settled()
  postgres.cutNext(point)
  postgres.staysDown = true
  stage.send(writer, 'reader', 5)
  stage.send(writer, 'neighbour', 5)
  await postgres.allCut()
  postgres.reset()
  await delay(OUTAGE_MS)
  postgres.staysDown = false
  postgres.set({})
  await stage.settled()
  stage.send(neighbour, 'writer', 3)
  await stage.settled()
  return stage.verdict()
}

/** PostgreSQL is away: sends are refused within two seconds, and what was refused is nowhere. */
async function refusedInOutage(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const { postgres } = world.instance(0)
  const writer = await stage.device('writer', 0, { givesUp: ALWAYS_AFTER_ERROR })
  await stage.device('reader', 1)
  await stage.device('neighbour', 0)
  stage.send(writer, 'reader', 2)
  await stage.settled()
  postgres.set({ down: true })
  postgres.reset()
  // Whatever was on its way has met its end.
  await delay(300)
  stage.send(writer, 'reader', 3)
  stage.send(writer, 'neighbour', 3)
  await stage.expect('a definite answer to every send', 2_300, () => stage.outbox('writer').size === 0)
  postgres.set({})
  await stage.expect('to store again', 5_000, () => world.instance(0).isReady())
  stage.send(writer, 'reader', 2)
  await stage.settled()
  return stage.verdict()
}

/** The connection is lost at every point of a transaction, and is there again at once. */
async function cuts(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const { postgres } = world.instance(0)
  const writer = await stage.device('writer', 0, { acks: false })
  await stage.device('reader', 1, { acks: false })
  for (const point of [...CUT_POINTS, ...CUT_POINTS]) {
    const before = postgres.made.get(point) ?? 0
    postgres.cutNext(point)
    stage.send(writer, 'reader', 4)
    await stage.expect(`a cut ${point}`, 5000, () => (postgres.made.get(point) ?? 0) > before)
    await stage.settled()
  }
  return stage.verdict()
}

/** The same send arrives at a second instance while the first is committing it. */
async function repeatWhileCommitting(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const [first, second] = [world.instance(0), world.instance(1)]
  // An ack would wait for the same lock, and the send behind it would come too late to be early.
  await stage.device('reader', 1, { acks: false })
  stage.outbox('writer')
  const ids = Array.from({ length: 4 }, () => stage.random.uuid())
  const post = (port: number, id: string) =>
    sendByRest(stage.history, port, [stage.user('writer'), stage.user('reader')], id)
  // A repeat makes the second instance careful for a while.
  await post(first.port, ids[0] ?? '')
  await post(second.port, ids[0] ?? '')
  const failuresBefore = await second.metric(DUPLICATE_FAILURES)
  for (const id of ids.slice(1)) {
    first.postgres.holdCommits(() => 500)
    const held = first.postgres.nextHeld()
    const one = post(first.port, id)
    await Promise.race([held, one])
    await Promise.all([one, post(second.port, id)])
    first.postgres.holdCommits(() => 0)
  }
  const failures = (await second.metric(DUPLICATE_FAILURES)) - failuresBefore
  if (failures > 0) stage.complain(`the careful path did not find a stored id ${failures} times`)
  return stage.verdict()
}

/** A reader stops reading while much is pushed, and goes on when nothing more comes. */
async function slowReader(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0)
  // Without the proxy: each hop would swallow some megabytes.
  const reader = await stage.device('reader', 0, { isDirect: true })
  reader.pause()
  for (let wave = 0; wave < 16; wave += 1) {
    stage.send(writer, 'reader', 100, LARGE)
    await stage.settled()
  }
  await delay(300)
  reader.resume()
  await stage.expect('word that the reader lagged, or nothing was shown', 10_000, () => reader.frames('lagging') > 0)
  return stage.verdict({ healedWithinMs: 10_000 })
}

/** A client asks and does not read the answers: it gets them in the end, or loses the connection; never nothing. */
async function unreadAnswers(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0)
  // Without the proxy: each hop would swallow some megabytes.
  const reader = await stage.device('reader', 1, { isDirect: true, replyLimitMs: 60_000 })
  for (let wave = 0; wave < 3; wave += 1) {
    stage.send(writer, 'reader', 100, LARGE)
    await stage.settled()
  }
  await stage.expect('the reader to have everything', 10_000, () => reader.head(writer.user) === 300)
  reader.pause()
  let answered = 0
  for (let index = 0; index < 12; index += 1) {
    const question = reader.ask({ type: 'history', with: writer.user, after: 0, limit: 300 })
    void question.then(() => (answered += 1))
    // Each takes 4.5 MB of the store, and a read that waits for too long is refused in a few bytes.
    await delay(250)
  }
  reader.resume()
  await stage.expect('12 answers or the end of the connection', 7_000, () => answered === 12)
  return stage.verdict()
}

/** What another instance published while the subscriber's connection was dead, with nothing after it. */
async function subscriberGap(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const { redis } = world.instance(1)
  const writer = await stage.device('writer', 0)
  for (const name of ['r0', 'r1', 'r2']) {
    await stage.device(name, 1)
    stage.send(writer, name)
    await stage.settled()
    redis.set({ blackhole: true })
    stage.send(writer, name)
    await stage.settled()
    await delay(150)
    redis.set({})
    redis.reset()
    await delay(400)
  }
  return stage.verdict()
}

/** The publisher cannot reach Redis; the other instance's subscription is sound and notices nothing by itself. */
async function publisherGap(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const { redis } = world.instance(0)
  const writer = await stage.device('writer', 0)
  await stage.device('reader', 1)
  stage.send(writer, 'reader')
  await stage.settled()
  redis.set({ down: true })
  redis.reset()
  await delay(100)
  stage.send(writer, 'reader', 3)
  await stage.settled()
  await delay(600)
  redis.set({})
  return stage.verdict()
}

/** Redis is away for everybody: what one instance stores reaches the other through PostgreSQL. */
async function redisAway(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0)
  const reader = await stage.device('reader', 1)
  for (const { redis } of world.instances) {
    redis.set({ down: true })
    redis.reset()
  }
  await delay(200)
  stage.send(writer, 'reader', 3)
  await stage.settled()
  await stage.expect('delivery without Redis', 5_000, () => reader.head(writer.user) === 3)
  return stage.verdict()
}

/** Messages are committed by another instance while a device is catching up, and nothing follows them. */
async function committedWhileCatchingUp(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0)
  // A look at the store sees what is there after one of these, and the look's end is seen after two.
  world.instance(1).postgres.set({ latencyMs: 80 })
  // With connections to the store that are open already, the moment of the look is known to some milliseconds.
  await stage.device('first', 1, { acks: false })
  for (let offsetMs = 0; offsetMs <= 240; offsetMs += 20) {
    // Without a look of its own the device depends on what the service sends; an ack on its way would put the look off.
    const late = await stage.device(`late${offsetMs}`, 1, { comparesHeads: false, wait: false, acks: false })
    await delay(offsetMs)
    stage.send(writer, `late${offsetMs}`)
    await stage.expect('a device to be synced', 5_000, () => late.isSynced)
  }
  await stage.settled()
  return stage.verdict()
}

/** An instance dies with its users on it: they are offline when its lease has run out, and not before it is dead. */
async function presenceAfterKill(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  await stage.device('here', 0)
  const gone = await stage.device('gone', 1)
  const port = world.instance(0).port
  const lists = async (user: string): Promise<boolean> => (await onlineUsers(port))?.includes(user) === true
  await stage.expect('both to be online', 5_000, async () => {
    return (await lists(stage.user('here'))) && (await lists(stage.user('gone')))
  })
  await world.instance(1).kill()
  gone.close()
  await stage.expect('who was there to be offline', 20_000, async () => !(await lists(stage.user('gone'))))
  if (!(await lists(stage.user('here')))) stage.complain('somebody who never left is offline')
  return stage.verdict({ expectLive: false })
}

/** When the lease of each instance ends. */
async function leases(world: World): Promise<Map<string, string>> {
  const pairs = await world.redis.run('ZRANGE', `${world.database}:instances`, 0, -1, 'WITHSCORES')
  return new Map(pairs as [instance: string, end: string][])
}

/** Committed, and dead before anybody was told: the other instance finds it when the lease has run out. */
async function killedBeforeTelling(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const dying = world.instance(0)
  // Who sends again has the message announced: that would be another way to heal.
  const writer = await stage.device('writer', 0, { givesUp: { afterError: 1, afterLoss: 1 } })
  await stage.device('reader', 1)
  // A lease has to have been seen before it can be missed: whoever renews looks at those of the others.
  const before = await leases(world)
  await stage.expect('renewals', LEASES_GONE_WITHIN_MS, async () => {
    // An instance that died in an earlier play may still stand there.
    const renewed = [...(await leases(world))].filter(([instance, end]) => end !== before.get(instance))
    return renewed.length >= world.instances.length
  })
  dying.postgres.cutNext('after-commit')
  stage.send(writer, 'reader', 2)
  await dying.postgres.allCut()
  await dying.kill()
  return stage.verdict({ healedWithinMs: 24_000 })
}

/**
 * An instance that Redis has never known commits and dies: no push of its comes, no lease of its runs out, and what it could
 * not publish nobody will report. The other instance looks every seven seconds.
 */
async function killedUnknown(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const dying = world.instance(0)
  await dying.drain()
  // The lease that it had before runs out first: that would be another reason to look.
  await stage.expect('Redis to know one instance', LEASES_GONE_WITHIN_MS, async () => {
    return (await world.redis.run('ZCARD', `${world.database}:instances`)) === 1
  })
  dying.redis.set({ down: true })
  await dying.startAgain()
  const writer = await stage.device('writer', 0)
  await stage.device('reader', 1)
  stage.send(writer, 'reader', 3)
  await stage.settled()
  await dying.kill()
  dying.redis.set({})
  return stage.verdict({ healedWithinMs: LOOKED_WITHIN_MS })
}

/** A device that is behind acknowledges less than another has. */
async function lowerAck(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0)
  const reader = await stage.device('reader', 1)
  const behind = await stage.device('reader', 0, { acks: false })
  stage.send(writer, 'reader', 10)
  await stage.settled()
  await stage.expect('ten messages', 5_000, () => reader.head(writer.user) === 10)
  reader.acknowledgeAll()
  await stage.expect('a receipt', 5_000, () =>
    stage.history.entries.some((one) => one.e === 'receipt' && one.seq === 10),
  )
  behind.write({ type: 'ack', with: writer.user, seq: 4 })
  await behind.ask({ type: 'ping' })
  await delay(300)
  return stage.verdict()
}

/** SIGTERM with sends on their way: each is answered before the connection is closed with 1012. */
async function drainUnderLoad(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const draining = world.instance(0)
  const writer = await stage.device('writer', 0)
  await stage.device('reader', 1)
  stage.send(writer, 'reader')
  await stage.settled()
  draining.postgres.holdCommits(() => 400)
  const ids = stage.send(writer, 'reader', 60)
  // Answered behind them: what is refused because it comes too late is another play.
  await writer.ask({ type: 'ping' })
  const code = await draining.drain()
  const answered = new Set(stage.history.entries.filter(({ e }) => e === 'ok').map((one) => 'id' in one && one.id))
  const unanswered = ids.filter((id) => !answered.has(id)).length
  if (unanswered > 0) stage.complain(`${unanswered} sends were not answered by the drain`)
  if (code !== 0) stage.complain(`the drain ended with ${code}`)
  if (writer.closes.get(1012) !== 1) stage.complain(`closed with ${JSON.stringify([...writer.closes])}, not with 1012`)
  draining.postgres.holdCommits(() => 0)
  await draining.startAgain()
  return stage.verdict({ expectLive: false })
}

/** The store cannot be read: nobody is told that there is nothing. */
async function unreadableStore(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0)
  stage.outbox('reader')
  stage.send(writer, 'reader', 5)
  await stage.settled()
  const { postgres } = world.instance(1)
  postgres.set({ down: true })
  postgres.reset()
  const reader = await stage.device('reader', 1, { wait: false })
  await delay(2500)
  if (reader.isSynced) stage.complain('a device was told that it is up to date by a service that cannot read')
  return stage.verdict()
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'refused in an outage', run: refusedInOutage },
  { name: 'outage before COMMIT', run: (world, seed) => outageAt(world, seed, 'before-commit') },
  { name: 'outage after COMMIT', run: (world, seed) => outageAt(world, seed, 'after-commit') },
  { name: 'cuts around COMMIT', run: cuts },
  { name: 'repeat while committing', run: repeatWhileCommitting },
  { name: 'slow reader', run: slowReader },
  { name: 'unread answers', run: unreadAnswers },
  { name: 'gap of the subscriber', run: subscriberGap, without: LOOK },
  { name: 'gap of the publisher', run: publisherGap, without: LOOK },
  { name: 'Redis away', run: redisAway, without: LOOK },
  { name: 'committed while catching up', run: committedWhileCatchingUp, without: LOOK },
  { name: 'lower ack', run: lowerAck },
  { name: 'unreadable store', run: unreadableStore },
  { name: 'drain under load', run: drainUnderLoad },
  { name: 'log that cannot be written', run: unwritableLog },
  WRONG_CLOCKS,
  REWOUND,
  { name: 'presence after a kill', run: presenceAfterKill, waits: true },
  { name: 'killed before telling', run: killedBeforeTelling, waits: true, without: LOOK },
  { name: 'killed unknown to Redis', run: killedUnknown, waits: true },
  ...SHORT_OUTAGES,
]

export function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((one) => one.name === name)
  if (!scenario) throw new Error(`no scenario '${name}': there are ${SCENARIOS.map((one) => one.name).join(', ')}`)
  return scenario
}
