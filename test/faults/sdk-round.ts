// The SDK under all faults at once: what people type and are shown, judged against what the service has kept.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Build, compileService } from './build.ts'
import { conversationOf, MemoryHistory, type Row, readHistory } from './history.ts'
import { runNemeses } from './nemesis-plan.ts'
import { Random } from './random.ts'
import { finish, type RoundPlan, startClients, usersOf } from './round.ts'
import { checkSdk, type SdkVerdict } from './sdk-checker.ts'
import type { SdkEntry } from './sdk-journal.ts'
import type { Settings } from './settings.ts'
import { World } from './world.ts'

const PLAN: Omit<RoundPlan, 'seed'> = {
  ...{ instances: 3, users: 12, clientProcesses: 2, sendsPerSecond: 600, faultsForMs: 60_000, gapMs: 900, atOnce: 2 },
}
const WARM_UP_MS = 1000

/** Rounds until the time is over or `targets.acked` sends were acknowledged. True when nothing was found. */
export async function runSdk(settings: Settings): Promise<boolean> {
  const build = await compileService()
  let isSound = true
  let acked = 0
  try {
    const endMs = performance.now() + settings.minutes * 60_000
    for (let seed = settings.seed; performance.now() < endMs && acked < SDK_TARGET; seed += 1) {
      const verdict = await playRound({ ...PLAN, seed }, build)
      acked += verdict.acked
      isSound &&= verdict.wrong.length === 0
    }
  } finally {
    await build.remove()
  }
  process.stdout.write(`${acked} acknowledged, ${isSound ? 'nothing found' : 'SOMETHING WAS FOUND'}\n`)
  return isSound
}

const SDK_TARGET = 100_000

async function playRound(plan: RoundPlan, build: Build): Promise<SdkVerdict> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-sdk-'))
  const world = await World.create({ build, instances: plan.instances })
  try {
    const random = new Random(plan.seed)
    world.clients = startClients(plan, { world, random, directory, isSdk: true })
    const history = new MemoryHistory()
    await delay(WARM_UP_MS)
    const { faultsForMs: forMs, gapMs, atOnce } = plan
    const faults = await runNemeses(world, random, history, { forMs, gapMs, atOnce })
    const { settledMs, healedMs } = await finish(world, usersOf(plan), history).catch((error: unknown) => {
      const behind = world.clients.flatMap(({ told }) => told?.behind ?? [])
      throw new Error(`the clients do not come to rest: ${behind.join('; ')}`, { cause: error })
    })
    const rows = new Map<string, readonly Row[]>()
    for (const entry of history.entries) if (entry.e === 'read') rows.set(conversationOf(entry.u, entry.w), entry.rows)
    const journals = world.clients.map(({ plan: { file } }) => readHistory(file) as unknown as SdkEntry[])
    const standing = world.clients.flatMap(({ told }) => told?.heads ?? [])
    const verdict = checkSdk(journals, rows, { standing })
    const kills = `${sum(world.instances)} instances, ${sum(world.clients)} clients, ${world.redisKills} Redis killed`
    process.stdout.write(
      `seed ${plan.seed}: ${verdict.typed} typed, ${verdict.acked} acknowledged, ${verdict.told} shown, ${kills}, ` +
        `${world.cluster.crashes} PostgreSQL crashes, settled in ${Math.round(settledMs)} ms, level in ${Math.round(healedMs)} ms, ` +
        `faults ${JSON.stringify(Object.fromEntries(faults))}\n${verdict.wrong.join('\n')}\n`,
    )
    return verdict
  } finally {
    await world.close()
    await rm(directory, { recursive: true, force: true })
  }
}

const sum = (killed: readonly { readonly kills: number }[]): number =>
  killed.reduce((total, { kills }) => total + kills, 0)
