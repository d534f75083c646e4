// Instances whose clocks are wrong, differ by hours, and jump while something waits.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { signal } from './cluster.ts'
import type { Instance } from './instance.ts'
import { onlineUsers } from './reading.ts'
import type { Scenario } from './scenario.ts'
import { Stage } from './stage.ts'
import type { World } from './world.ts'

const directory = mkdtempSync(join(tmpdir(), 'messaging-faults-clocks-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))

/** For worlds whose clocks are to be set. */
export const CLOCK_ENV: Readonly<Record<string, string>> = {
  NODE_OPTIONS: `--import=${new URL('./clock-preload.js', import.meta.url).href}`,
  FAULTS_CLOCKS: directory,
}

const HOUR_MS = 3_600_000
const ALWAYS_AFTER_ERROR = { afterError: 1, afterLoss: 0 }

/** Wrong by so much from now on, also when it is started again. */
function setClock(instance: Instance, wrongByMs: number): void {
  writeFileSync(join(directory, String(instance.postgres.port)), String(wrongByMs))
  if (instance.isRunning) signal(instance.pid, 'SIGUSR2')
}

async function wrongClocks(world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  try {
    await jumpWhileCommitting(stage)
    await jumpInOutage(stage)
    await jumpWithoutRedis(stage)
    await startWrong(stage)
    await askSince(stage)
    return await stage.verdict()
  } finally {
    for (const instance of world.instances) setClock(instance, 0)
  }
}

/** One an hour ahead, one an hour behind, with sends on their way; what is acked, told and numbered does not care. */
async function jumpWhileCommitting(stage: Stage): Promise<void> {
  const [ahead, behind] = [stage.world.instance(0), stage.world.instance(1)]
  const a = await stage.device('a', 0)
  const b = await stage.device('b', 1, { givesUp: ALWAYS_AFTER_ERROR })
  for (const { postgres } of [ahead, behind]) postgres.holdCommits(() => 300)
  stage.send(a, 'b', 10)
  stage.send(b, 'a', 10)
  await delay(100)
  setClock(ahead, HOUR_MS)
  setClock(behind, -HOUR_MS)
  stage.send(a, 'b', 10)
  stage.send(b, 'a', 10)
  await stage.settled()
  for (const { postgres } of [ahead, behind]) postgres.holdCommits(() => 0)
  const names = [stage.user('a'), stage.user('b')]
  for (const { port } of [ahead, behind]) {
    await stage.expect('both to be online, whoever is asked', 10_000, async () => {
      const online = await onlineUsers(port)
      return names.every((name) => online?.includes(name))
    })
  }
}

/** PostgreSQL is away from an instance whose clock goes back meanwhile: nobody waits longer for the answer. */
async function jumpInOutage(stage: Stage): Promise<void> {
  const behind = stage.world.instance(1)
  const b = await stage.device('b', 1)
  behind.postgres.set({ down: true })
  behind.postgres.reset()
  await delay(300)
  stage.send(b, 'a', 3)
  await delay(100)
  setClock(behind, -2 * HOUR_MS)
  await stage.expect('a definite answer to every send', 2_300, () => stage.outbox('b').size === 0)
  behind.postgres.set({})
  await stage.expect('to store again', 5_000, () => behind.isReady())
}

/** What was published while Redis was away is found by age: of what, when the clock has gone back in between? */
async function jumpWithoutRedis(stage: Stage): Promise<void> {
  const behind = stage.world.instance(1)
  const a = await stage.device('a', 0)
  const reader = await stage.device('reader', 1, { comparesHeads: false })
  behind.redis.set({ blackhole: true })
  stage.send(a, 'reader')
  await stage.settled()
  await delay(150)
  setClock(behind, -3 * HOUR_MS)
  behind.redis.set({})
  behind.redis.reset()
  await stage.expect('the reader to be healed', 6_000, () => reader.head(a.user) === 1)
}

/** Wrong from the start; it takes repeats of what the other one has stored, and somebody who was away comes to it. */
async function startWrong(stage: Stage): Promise<void> {
  const behind = stage.world.instance(1)
  const a = await stage.device('a', 0)
  await behind.kill()
  const ids = stage.send(a, 'sleeper', 5)
  await stage.settled()
  await behind.startAgain()
  // The same person on the other instance sends the same again.
  const again = await stage.device('a', 1)
  for (const id of ids) stage.outbox('a').write(stage.user('sleeper'), id)
  again.pump()
  await stage.settled()
  const sleeper = await stage.device('sleeper', 1)
  await stage.expect('five messages', 5_000, () => sleeper.head(a.user) === 5)
}

/** A client asks what has changed since the time that an instance told it, an hour ahead of the database. */
async function askSince(stage: Stage): Promise<void> {
  const ahead = stage.world.instance(0)
  await ahead.kill()
  await ahead.startAgain()
  const a = await stage.device('a', 0)
  const b = await stage.device('b', 1)
  const first = await a.ask({ type: 'sync', heads: [] })
  stage.send(b, 'a')
  await stage.settled()
  const later = await a.ask({ type: 'sync', since: first?.['server_time'] })
  const isTold = JSON.stringify(later?.['changed'] ?? []).includes(b.user)
  if (!isTold) stage.complain('a change after the time that an instance told is not among the changes since that time')
}

export const WRONG_CLOCKS: Scenario = { name: 'wrong clocks', run: wrongClocks }
