// `--accounts`: what strangers, thieves, lost answers and killed processes do to AUTH=accounts, in numbers that a test has no time for.
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { SocketClient } from '../support/socket-client.ts'
import { AccountClient, PASSWORD, type Person, signIn } from './account-client.ts'
import { compileService } from './build.ts'
import type { Storm } from './login-storm.ts'
import { play, told } from './play.ts'
import { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import type { Settings } from './settings.ts'
import { until, World } from './world.ts'

/** Everybody may register, and a header says from which network, as behind a proxy that is listed. */
const ENV = {
  AUTH: 'accounts',
  REGISTRATION: 'open',
  // One address for both instances, and so one name of the cookie.
  PUBLIC_URL: 'http://chat.test',
  TRUSTED_PROXIES: '127.0.0.1',
  ADDRESS_REFUSALS_PER_SECOND: '0',
}
const SAMPLES = 1_000
const FAULTS = 10_000
const CLIENTS = 20
const NETWORKS = 100
const PAIRS = 10_000
const STORM_PEOPLE = 200
const STORM_ROUNDS = 6
/** Some 1,500 sends, so that a p99 is more than a handful of them. */
const STORM_ROUND_MS = 10_000
/** Of what the issue asks: medians of known and unknown names may differ by so much. */
const MEDIAN_DIFFERENCE = 0.05
const SLOWER = 1.5

export async function runAccounts({ seed, only }: Settings): Promise<boolean> {
  const build = await compileService()
  // No play breaks a link, and the proxies would be in the process that measures.
  const world = await World.create({ build, instances: 2, isDirect: true, env: ENV })
  try {
    const chosen = PLAYS.filter(({ name }) => only.length === 0 || only.includes(name))
    const outcomes = []
    for (const scenario of chosen) outcomes.push(await play(scenario, world, seed))
    if (only.length === 0) outcomes.push(told({ name: 'nothing unasked', wrong: world.surprises(), seconds: 0 }))
    return outcomes.every(({ wrong }) => wrong.length === 0)
  } finally {
    await world.close()
    await build.remove()
  }
}

const PLAYS: readonly Scenario[] = [
  { name: 'known and unknown names', run: compareNames },
  { name: 'lost answers', run: loseAnswers },
  { name: 'stolen tokens', run: stealTokens },
  { name: 'tabs', run: reloadTabs },
  { name: 'two hundred logins', run: loginStorm },
  { name: 'stuffing', run: stuff },
]

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN
}

function say(text: string): void {
  process.stdout.write(`        ${text}\n`)
}

/** What a stranger may ask of a name: with a wrong password, and with a wrong recovery code. */
const QUESTIONS: Readonly<Record<string, (username: string) => object>> = {
  '/api/auth/login': (username) => ({ username, password: 'wrong password' }),
  '/api/auth/recover': (username) => ({ username, recovery_code: 'aaaa-aaaa-aaaa-aaaa', new: PASSWORD }),
}

async function compareNames(world: World): Promise<string[]> {
  const wrong: string[] = []
  for (const [path, question] of Object.entries(QUESTIONS)) wrong.push(...(await compareAt(world, path, question)))
  return wrong
}

/** A thousand of people and of nobody, in turns, so that what the machine does beside falls on both. */
async function compareAt(world: World, path: string, question: (username: string) => object): Promise<string[]> {
  const client = new AccountClient(world.instance(0))
  const people = await Promise.all(Array.from({ length: SAMPLES / 50 }, () => client.register()))
  const took = { known: [] as number[], unknown: [] as number[] }
  const bodies = new Set<string>()
  for (let at = 0; at < SAMPLES; at += 1) {
    for (const kind of ['known', 'unknown'] as const) {
      const username = kind === 'known' ? (people[at % people.length]?.username ?? '') : `nobody-${at}`
      const startedMs = performance.now()
      const answer = await client.post(path, question(username))
      took[kind].push(performance.now() - startedMs)
      bodies.add(`${answer.status} ${JSON.stringify(answer.body['error'])}`)
    }
  }
  const [known, unknown] = [median(took.known), median(took.unknown)]
  const difference = Math.abs(known - unknown) / unknown
  say(
    `${path}, ${SAMPLES} each: known ${known.toFixed(2)} ms, unknown ${unknown.toFixed(2)} ms (${(100 * difference).toFixed(1)} %)`,
  )
  return [
    ...(difference > MEDIAN_DIFFERENCE ? [`${path}: the medians differ by ${(100 * difference).toFixed(1)} %`] : []),
    ...(bodies.size > 1 ? [`${path}: different answers: ${[...bodies].join(' | ')}`] : []),
  ]
}

/** What a client keeps on its disk. Each of two processes also keeps the attempt that it has under way. */
interface Kept {
  token: string
  attempts: (string | undefined)[]
}

/** Answers lost, requests repeated, late copies of old ones, two processes at once, instances killed: nobody is signed out. */
async function loseAnswers(world: World, seed: number): Promise<string[]> {
  const random = new Random(seed)
  const counts: Record<string, number> = {}
  const wrong: string[] = []
  let left = FAULTS
  const people = await Promise.all(
    Array.from({ length: CLIENTS }, () => new AccountClient(world.instance(0)).register()),
  )
  const live = async (person: Person): Promise<void> => {
    const kept: Kept = { token: person.refreshToken, attempts: [] }
    let before: { token: string; attempt: string } | undefined
    while (left > 0 && wrong.length === 0) {
      left -= 1
      const fault = random.pick(['none', 'lost', 'lost', 'twice', 'late copy', 'two processes'])
      counts[fault] = (counts[fault] ?? 0) + 1
      // A copy that the network kept: the answer goes to nobody.
      if (fault === 'late copy' && before) void refreshOnce(world, before.token, before.attempt, random, false)
      const processes = fault === 'two processes' ? [0, 1] : [0]
      const started = kept.token
      const outcomes = await Promise.all(processes.map((one) => renew(world, kept, one, random, fault)))
      for (const { won, problem } of outcomes) {
        if (problem !== undefined) wrong.push(`${fault}: ${problem}`)
        if (won !== undefined) before = { token: started, attempt: won }
      }
    }
  }
  let isOver = false
  const killing = (async () => {
    for (let at = 0; !isOver; at += 1) {
      await delay(2_000)
      await world.instance(at % 2).kill()
      await world.instance(at % 2).startAgain()
    }
  })()
  await Promise.all(people.map(live))
  isOver = true
  await killing
  const [row] = await world.cluster.query(
    `select count(*) filter (where revoked_at is not null), (select count(*) from audit_log where action = 'refresh_reuse')
     from sessions where user_id = any('{${people.map(({ userId }) => userId).join(',')}}')`,
    world.database,
  )
  say(
    `${FAULTS} renewals, ${JSON.stringify(counts)}, ${world.instances.map(({ kills }) => kills).join(' + ')} kills; ended sessions and reuses: ${row}`,
  )
  if (String(row) !== '0,0') wrong.push(`sessions that ended, and tokens taken for stolen: ${row}`)
  return wrong
}

/** One process renews until it has an answer, or finds that the other has kept a newer token. */
async function renew(world: World, kept: Kept, process: number, random: Random, fault: string) {
  const token = kept.token
  const attempt = kept.attempts[process] ?? randomUUID()
  // On the disk before the call.
  kept.attempts[process] = attempt
  for (let at = 0; at < 400; at += 1) {
    const isLost = (fault === 'lost' && at === 0) || (fault === 'two processes' && random.chance(0.3))
    const copies = fault === 'twice' ? [1, 2] : [1]
    const answers = await Promise.all(copies.map(() => refreshOnce(world, token, attempt, random, isLost)))
    for (const answer of answers) {
      if (answer?.status === 200) {
        // The other process may have gone on from here: its token is the newer one.
        if (kept.token === token) kept.token = String(answer.body['refresh_token'])
        kept.attempts[process] = undefined
        return { won: attempt, problem: undefined }
      }
      if (answer?.status === 401) return { won: undefined, problem: `signed out: ${JSON.stringify(answer.body)}` }
    }
    if (answers.some((answer) => answer?.status === 409) && kept.token !== token) {
      kept.attempts[process] = undefined
      return { won: undefined, problem: undefined }
    }
    await delay(5 + random.below(20))
  }
  return { won: undefined, problem: 'no answer after 400 tries' }
}

/** Undefined when the answer was lost, or there was none. */
async function refreshOnce(world: World, token: string, attempt: string, random: Random, isLost: boolean) {
  const instance = world.instance(random.below(2))
  const signal = AbortSignal.timeout(isLost ? random.below(12) + 1 : 5_000)
  try {
    const answer = await new AccountClient(instance).post(
      '/api/auth/refresh',
      { refresh_token: token, attempt },
      { signal },
    )
    return isLost ? undefined : answer
  } catch {
    return undefined // cut off, or the instance was killed
  }
}

/** Owner and thief have the same token, and either is first: the session is dead at the next use after ten seconds. */
async function stealTokens(world: World): Promise<string[]> {
  const wrong: string[] = []
  const client = new AccountClient(world.instance(0))
  const other = new AccountClient(world.instance(1))
  const people = await Promise.all(Array.from({ length: 20 }, () => client.register()))
  await Promise.all(
    people.map(async ({ refreshToken, userId }, at) => {
      const [first, second] = at % 2 === 0 ? [client, other] : [other, client]
      const next = await first.refresh(refreshToken)
      const early = await second.refresh(refreshToken)
      if (early.status !== 409) wrong.push(`within ten seconds: ${early.status}`)
      await delay(10_500)
      const late = await second.refresh(refreshToken)
      const after = await first.refresh(String(next.body['refresh_token']))
      if (late.status !== 401 || after.status !== 401)
        wrong.push(`the session goes on: ${late.status}, ${after.status}`)
      const audit = `select action from audit_log where target = '${userId}' and action = 'refresh_reuse'`
      if ((await world.cluster.query(audit, world.database)).length !== 1) wrong.push('not in the audit')
    }),
  )
  return wrong
}

/** Two tabs of one browser, each loaded anew two hundred times at once. */
async function reloadTabs(world: World): Promise<string[]> {
  const client = new AccountClient(world.instance(0))
  const { username } = await client.register()
  const { cookie } = await client.page(username)
  const statuses: number[] = []
  const tab = async (instance: number): Promise<void> => {
    const own = new AccountClient(world.instance(instance))
    for (let at = 0; at < 200; at += 1) statuses.push((await own.tokenOf(cookie)).status)
  }
  await Promise.all([tab(0), tab(1)])
  const failed = statuses.filter((status) => status !== 200)
  return failed.length === 0 ? [] : [`${failed.length} of ${statuses.length} reloads were signed out`]
}

/** Two people talk; milliseconds from a send to its acknowledgement. */
async function chat(socket: SocketClient, receiver: Person, durationMs: number): Promise<number[]> {
  const took: number[] = []
  const endMs = performance.now() + durationMs
  for (let at = 0; performance.now() < endMs; at += 1) {
    const startedMs = performance.now()
    const reply = await socket.ask({ type: 'send', receiver_id: receiver.userId, content: `message ${at}` })
    if (reply.type === 'sent') took.push(performance.now() - startedMs)
    await delay(5)
  }
  return took
}

/** Two hundred people sign in, again and again, until told to stop; resolves with how many got which answer. */
function startStorm(directPort: number, usernames: readonly string[]): () => Promise<Record<number, number>> {
  const storm: Storm = { directPort, usernames }
  // In a session of its own: the scheduler shares the cores among sessions, and clients elsewhere take none of the service's share.
  const child = fork(fileURLToPath(new URL('./login-storm.js', import.meta.url)), [JSON.stringify(storm)], {
    detached: true,
  })
  const orphaned = (): void => void child.kill('SIGKILL')
  process.once('exit', orphaned)
  child.once('exit', () => process.off('exit', orphaned))
  return async () => {
    const answered = once(child, 'message')
    child.send('enough')
    const [statuses] = await answered
    return statuses
  }
}

/** What people who talk wait for while two hundred sign in, all at once, again and again. */
async function duringStorm(talk: () => Promise<number[]>, directPort: number, usernames: readonly string[]) {
  const enough = startStorm(directPort, usernames)
  // Past the start of the process.
  await delay(2_000)
  const took = await talk()
  return { took, statuses: await enough() }
}

/**
 * Two hundred people sign in at once, again and again, while two talk: in turns with nobody who signs in, each of the two first in
 * every other round, so that what the machine does beside falls on both. They are two hundred, so that nobody reaches a limit of
 * their own.
 */
async function loginStorm(world: World): Promise<string[]> {
  await world.cluster.query('truncate throttles', world.database)
  const instance = world.instance(0)
  const client = new AccountClient(instance)
  const [ann, bob] = await Promise.all([client.register(), client.register()])
  const usernames: string[] = []
  for (let at = 0; at < STORM_PEOPLE; at += 1) usernames.push((await client.register()).username)
  const socket = await signIn(instance, ann)
  const talk = (): Promise<number[]> => chat(socket, bob, STORM_ROUND_MS)
  await talk()
  const all = { usual: [] as number[], during: [] as number[] }
  const ratios: number[] = []
  for (let round = 0; round < STORM_ROUNDS; round += 1) {
    const before = round % 2 === 0 ? await talk() : undefined
    // Nobody reaches a limit of their own: some sign in more often than others.
    await world.cluster.query('truncate throttles', world.database)
    const { took, statuses } = await duringStorm(talk, instance.directPort, usernames)
    await delay(1_000)
    const quiet = before ?? (await talk())
    all.usual.push(...quiet)
    all.during.push(...took)
    const [usual, during] = [percentile(quiet, 0.99), percentile(took, 0.99)]
    ratios.push(during / usual)
    say(
      `p99 of a send ${usual.toFixed(2)} ms, with 200 logins at a time ${during.toFixed(2)} ms; answers ${JSON.stringify(statuses)}`,
    )
  }
  await socket.close()
  const ratio = median(ratios)
  const ofAll = percentile(all.during, 0.99) / percentile(all.usual, 0.99)
  say(
    `in the median of ${STORM_ROUNDS} rounds ${ratio.toFixed(2)} times as long; of all ${all.during.length} sends and ${all.usual.length} without ${ofAll.toFixed(2)} times`,
  )
  const [commits] = await world.cluster.query(
    "select count(*), count(distinct xmin::text) from audit_log where action = 'login'",
    world.database,
  )
  say(`${commits?.[0]} logins were ${commits?.[1]} commits`)
  return ratio > SLOWER ? [`a send takes ${ratio.toFixed(1)} times as long`] : []
}

/** Ten thousand pairs from a hundred networks against a few names; meanwhile their people sign in from devices that are known. */
async function stuff(world: World): Promise<string[]> {
  await world.cluster.query('truncate throttles', world.database)
  const client = new AccountClient(world.instance(0))
  const victims = await Promise.all(Array.from({ length: 10 }, () => client.register()))
  const statuses: Record<number, number> = {}
  let pair = 0
  const attacker = async (network: string): Promise<void> => {
    for (; pair < PAIRS; ) {
      pair += 1
      const username = victims[pair % victims.length]?.username ?? ''
      const { status } = await client.login(username, { password: `guess ${pair} of many`, network })
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }
  const networks = Array.from({ length: NETWORKS }, (_, at) => `203.0.113.${at}`)
  const attack = Promise.all(networks.map(attacker))
  const wrong: string[] = []
  for (const { username, deviceToken } of victims) {
    // At its limit the service says so, and a client comes again.
    let status = 0
    await until('a victim to sign in', 30_000, async () => {
      status = (await client.login(username, { deviceToken, network: '198.51.100.7' })).status
      return status !== 503
    })
    if (status !== 200) wrong.push(`a victim could not sign in: ${status}`)
  }
  await attack
  say(
    `${PAIRS} guesses from ${NETWORKS} networks: ${JSON.stringify(statuses)}; ${victims.length - wrong.length} of ${victims.length} victims signed in meanwhile`,
  )
  // A name has a hundred attempts an hour, and a few more come back meanwhile.
  const tried = statuses[401] ?? 0
  if (tried > victims.length * 110) wrong.push(`${tried} guesses were tried`)
  return wrong
}
