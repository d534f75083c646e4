// Notifications under kills, outages and hostile endpoints: a push service of the run's own counts what arrives.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type FakeBrowser, FakePushService } from '../support/fake-push-service.ts'
import { cpuMs } from '../support/process-cpu.ts'
import { type Build, compileService, ROOT } from './build.ts'
import { here } from './here.ts'
import type { Instance } from './instance.ts'
import { ChatLoad } from './push-load.ts'
import type { Settings } from './settings.ts'
import { World } from './world.ts'

const DEFAULT_REPORT = join(ROOT, 'dist', 'faults', 'push.json')

interface Outcome {
  /** What was measured, by what it is, with its unit; three digits are shown. */
  readonly figures: Readonly<Record<string, number>>
  /** Promises that were not kept. */
  readonly broken: readonly string[]
}

type Play = (build: Build, settings: Settings) => Promise<Outcome>

/**
 * True when every play kept its promise. Names on the command line choose among the plays; a report in JSON tells what was
 * measured, also where a promise was broken.
 */
export async function runPush(settings: Settings): Promise<boolean> {
  const build = await compileService()
  const chosen = Object.entries(PLAYS).filter(([name]) => settings.only.length === 0 || settings.only.includes(name))
  const path = settings.report ?? DEFAULT_REPORT
  const about = here()
  const plays: Record<string, Outcome> = {}
  mkdirSync(dirname(path), { recursive: true })
  try {
    for (const [name, play] of chosen) {
      const outcome = await play(build, settings).catch((error: unknown): Outcome => {
        return { figures: {}, broken: [error instanceof Error ? (error.stack ?? error.message) : String(error)] }
      })
      plays[name] = outcome
      const figures = Object.entries(outcome.figures).map(
        ([title, value]) => `${title} ${Number(value.toPrecision(3))}`,
      )
      process.stdout.write(
        [`${name}: ${figures.join(', ')}`, ...outcome.broken.map((one) => `  BROKEN: ${one}`), ''].join('\n'),
      )
      writeFileSync(path, `${JSON.stringify({ ...about, plays }, undefined, 1)}\n`)
    }
  } finally {
    await build.remove()
  }
  process.stdout.write(`report: ${path}\n`)
  return Object.values(plays).every(({ broken }) => broken.length === 0)
}

interface Scene {
  readonly world: World
  readonly fake: FakePushService
  sql(text: string): Promise<unknown[][]>
}

async function played(
  build: Build,
  instances: number,
  work: (scene: Scene) => Promise<Outcome>,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const fake = await FakePushService.start()
  // No play breaks a link, and the proxies would be in the process that answers as the push service.
  const world = await World.create({ build, instances, isDirect: true, env: { ...fake.env, ...env } })
  try {
    return await work({ world, fake, sql: (text) => world.cluster.query(text, world.database) })
  } finally {
    await world.close()
    await fake.close()
  }
}

async function publicKeyOf(instance: Instance): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${instance.directPort}/api/push/key?user_id=x`)
  return ((await answer.json()) as { public_key: string }).public_key
}

const ROWS_PER_STATEMENT = 5_000

/** So many people, each with one browser, by SQL; their names are `prefix` and a number. */
async function subscribers({ world, fake, sql }: Scene, prefix: string, count: number): Promise<FakeBrowser[]> {
  const key = await publicKeyOf(world.instance(0))
  const browsers = Array.from({ length: count }, () => fake.subscribe(key))
  for (let from = 0; from < count; from += ROWS_PER_STATEMENT) {
    const rows = browsers.slice(from, from + ROWS_PER_STATEMENT).map(({ json: { endpoint, keys } }, index) => {
      return `('${prefix}${from + index}', '${endpoint}', sha256('${endpoint}'), '${fake.host}', '${keys.p256dh}', '${keys.auth}')`
    })
    await sql(`insert into push_subscriptions (user_id, endpoint, endpoint_hash, host, p256dh, auth, vapid_kid, content)
      select v.*, kid, 1 from (values ${rows.join(',')}) v (user_id, endpoint, hash, host, p256dh, auth),
        secrets where name = 'vapid'`)
  }
  return browsers
}

/** One message for each of them that nobody has received, and a job for it that is due now. */
async function dueJobs({ sql }: Scene, prefix: string, count: number): Promise<void> {
  const people = `select '${prefix}' || n as user_id from generate_series(0, ${count - 1}) n`
  await sql(`insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
    select 'A-sender', user_id, 1, now() - interval '1 day', now() - interval '1 day' from (${people}) p`)
  await sql(`insert into messages (conversation_id, seq, id, sender_id, content, created_at)
    select conversation_id, 1, gen_random_uuid(), 'A-sender', 'hello', now() - interval '1 day' from conversations
    where user_lo = 'A-sender' and user_hi like '${prefix}%'`)
  await sql('vacuum analyze')
  await sql(`insert into push_jobs (user_id, conversation_id, kind, until, due_at, wanted_at, last_seq)
    select user_hi, conversation_id, 0, 0, now(), now(), 1 from conversations
    where user_lo = 'A-sender' and user_hi like '${prefix}%'`)
}

/** How often each browser was told something. */
function tellings(fake: FakePushService, browsers: readonly FakeBrowser[]): number[] {
  const counts = new Map(browsers.map(({ id }) => [id, 0]))
  for (const { browser } of fake.received) counts.set(browser, (counts.get(browser) ?? 0) + 1)
  return [...counts.values()]
}

/** What the push service found wrong with what it was sent. */
const wrongWith = (fake: FakePushService): string[] =>
  fake.faults.length > 0 ? [`the push service found faults: ${fake.faults.slice(0, 5).join('; ')}`] : []

const JOBS = 10_000
const LATEST_AFTER_KILL_MS = 20_000

/** Three instances, ten thousand jobs, one instance killed in the middle. */
async function oneIsKilled(build: Build): Promise<Outcome> {
  return played(build, 3, async (scene) => {
    const { world, fake } = scene
    const browsers = await subscribers(scene, 'k', JOBS)
    await dueJobs(scene, 'k', JOBS)
    await fake.until(() => fake.received.length >= JOBS / 3, 'a third of the pushes', 120_000)
    await world.instance(1).kill()
    const killedMs = performance.now()
    const all = (): boolean => tellings(fake, browsers).every((count) => count > 0)
    await fake.until(() => fake.received.length >= JOBS * 0.97, 'nearly all pushes', 120_000)
    const restMs = performance.now()
    await fake.until(all, 'a push to everybody', 120_000)
    const lastMs = performance.now()
    await delay(5_000)
    const once = tellings(fake, browsers).filter((count) => count === 1).length
    // What the killed one held, and not what was still to be done by the others.
    const latestMs = lastMs - Math.max(killedMs, restMs)
    return {
      figures: {
        due: JOBS,
        'told exactly once, %': (once / JOBS) * 100,
        'told twice': JOBS - once,
        'last after the kill, s': (lastMs - killedMs) / 1000,
      },
      broken: [
        ...wrongWith(fake),
        ...(once < JOBS * 0.999 ? [`${once} of ${JOBS} were told exactly once`] : []),
        ...(latestMs > LATEST_AFTER_KILL_MS ? [`what the killed one held came after ${latestMs / 1000} s`] : []),
      ],
    }
  })
}

const KILLED_AT_ONCE = 20
/** Of what a killed instance forgot, this part at least is told within 20 s. */
const MIN_IN_TIME = 0.95

/** One instance is killed between its commits and their jobs, again and again; another one finds what it forgot. */
async function killedBeforeJobs(build: Build, { minutes }: Settings): Promise<Outcome> {
  return played(build, 2, async (scene) => {
    const { world, fake } = scene
    const victim = world.instance(0)
    const wanted = minutes >= 20 ? 1_000 : 200
    const browsers = await subscribers(scene, 'c', wanted)
    const sentMs: number[] = []
    // Both instances know who has a subscription within two seconds.
    await delay(3_000)
    for (let from = 0; from < wanted; from += KILLED_AT_ONCE) {
      const users = Array.from({ length: KILLED_AT_ONCE }, (_, index) => `c${from + index}`)
      await Promise.all(users.map((user) => send(victim, user)))
      sentMs.push(...users.map(() => performance.now()))
      await victim.kill()
      await victim.startAgain()
    }
    const told = (): number => tellings(fake, browsers).filter((count) => count > 0).length
    await fake.until(() => told() === wanted, 'a push to everybody', 60_000).catch(() => undefined)
    await delay(2_000)
    const missing = wanted - told()
    const doubled = tellings(fake, browsers).filter((count) => count > 1).length
    const lateMs = browsers.map((browser, index) => (fake.of(browser)[0]?.atMs ?? 0) - (sentMs[index] ?? 0))
    const worstMs = Math.max(...lateMs)
    // Of those that are later most were found in time, taken by the instance that is killed again: they wait for its lease.
    const inTime = lateMs.filter((ms) => ms <= LATEST_AFTER_KILL_MS).length
    return {
      figures: {
        'forgotten by a killed instance': wanted,
        missing,
        doubled,
        'told within 20 s, %': (inTime / wanted) * 100,
        'the last after, s': worstMs / 1000,
      },
      broken: [
        ...wrongWith(fake),
        ...(missing > 0 ? [`${missing} of ${wanted} were never told`] : []),
        ...(doubled > wanted * 0.01 ? [`${doubled} of ${wanted} were told twice`] : []),
        ...(inTime < wanted * MIN_IN_TIME ? [`${inTime} of ${wanted} were told within 20 s`] : []),
      ],
    }
  })
}

/** A machine that is busy may have no room for a moment: it is tried again. */
async function send(instance: Instance, receiver: string, sender = 'A-writer', attempts = 20): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${instance.directPort}/api/send_message`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ sender_id: sender, receiver_id: receiver, content: 'hello' }),
  })
  if (answer.status === 503 && attempts > 0) {
    await delay(500)
    return send(instance, receiver, sender, attempts - 1)
  }
  if (answer.status !== 201) throw new Error(`a send got ${answer.status}: ${await answer.text()}`)
}

const FLOOD = 100_000
const FLOOD_LIMIT_MS = 120_000
/** Of the service and the whole push, with its encryption. */
const CPU_LIMIT_US = 300
const CHAT_P99_LIMIT = 1.5

/** A hundred thousand due at once, on one instance, while people chat. */
async function flood(build: Build): Promise<Outcome> {
  return played(build, 1, async (scene) => {
    const { world, fake, sql } = scene
    fake.isThorough = false
    await subscribers(scene, 'f', FLOOD)
    const { pid, directPort } = world.instance(0)
    const load = await ChatLoad.start(directPort)
    await load.settle()
    const beforeMs = await load.p99During(delay(10_000))
    const chatCpuPerMs = await load.cpuPerMs(pid)
    await dueJobs(scene, 'f', FLOOD)
    const [cpuBeforeMs, startMs] = [cpuMs(pid), performance.now()]
    const drained = fake.until(() => fake.received.length >= FLOOD, 'all pushes', 2 * FLOOD_LIMIT_MS)
    const duringMs = await load.p99During(drained)
    const tookMs = performance.now() - startMs
    const cpuUs = ((cpuMs(pid) - cpuBeforeMs - chatCpuPerMs * tookMs) / FLOOD) * 1000
    await load.stop()
    await delay(2_000)
    const [[left] = []] = await sql('select count(*)::int from push_jobs where due_at is not null')
    return {
      figures: {
        due: FLOOD,
        'drained after, s': tookMs / 1000,
        'CPU a push, µs': cpuUs,
        'chat p99 before, ms': beforeMs,
        'chat p99 meanwhile, ms': duringMs,
        left: Number(left),
      },
      broken: [
        ...wrongWith(fake),
        ...(tookMs > FLOOD_LIMIT_MS ? [`it took ${tookMs / 1000} s`] : []),
        ...(cpuUs > CPU_LIMIT_US ? [`a push cost ${Math.round(cpuUs)} µs`] : []),
        ...(duringMs > beforeMs * CHAT_P99_LIMIT
          ? [`chat took ${(duringMs / beforeMs).toFixed(2)} times as long`]
          : []),
        ...(left === 0 ? [] : [`${String(left)} are left`]),
      ],
    }
  })
}

const MAX_OUTAGE_MINUTES = 10
/** The longest pause before another attempt, and the longest for which a host is left alone. */
const RECOVERY_LIMIT_MS = 25 * 60_000

/**
 * A push service that worked for some, and then refuses or fails for everybody, for minutes: nothing is removed, and by itself
 * everybody is told when it works again.
 */
async function outage(build: Build, { minutes }: Settings): Promise<Outcome> {
  const people = 200
  const lastsMinutes = Math.min(MAX_OUTAGE_MINUTES, minutes)
  return played(build, 1, async (scene) => {
    const { world, fake, sql } = scene
    const browsers = await subscribers(scene, 'o', people)
    const worked = browsers.slice(0, people / 2)
    const toAll = (some: readonly FakeBrowser[]) =>
      Promise.all(some.map((browser) => send(world.instance(0), `o${browsers.indexOf(browser)}`)))
    await delay(3_000)
    await toAll(worked)
    await fake.until(() => worked.every((browser) => fake.of(browser).length > 0), 'pushes before the outage', 60_000)
    fake.answer = (id) => ({ status: id.charCodeAt(0) % 2 === 0 ? 403 : 500 })
    const askedBefore = fake.requests
    const endMs = performance.now() + lastsMinutes * 60_000
    while (performance.now() < endMs) {
      await toAll(browsers)
      await delay(20_000)
    }
    const asked = fake.requests - askedBefore
    const [[left] = []] = await sql('select count(*)::int from push_subscriptions')
    fake.answer = () => ({ status: 201 })
    const [endedMs, before] = [performance.now(), fake.received.length]
    const told = (): number => new Set(fake.received.slice(before).map(({ browser }) => browser)).size
    await fake
      .until(() => told() === people, 'a push to everybody after the outage', RECOVERY_LIMIT_MS)
      .catch(() => undefined)
    return {
      figures: {
        'minutes of 403 and 500': lastsMinutes,
        subscriptions: people,
        removed: people - Number(left),
        'asked meanwhile': asked,
        'told afterwards': told(),
        'the last after, s': (performance.now() - endedMs) / 1000,
      },
      broken: [
        ...wrongWith(fake),
        ...(left === people ? [] : [`${people - Number(left)} of ${people} subscriptions were removed`]),
        ...(asked === 0 ? ['nobody was asked during the outage'] : []),
        ...(told() === people ? [] : [`${people - told()} of ${people} were not told afterwards`]),
      ],
    }
  })
}

/** A server inside that nobody may reach. */
async function canaryOn(
  port: number,
): Promise<{ readonly server: Server; readonly hits: () => number; readonly port: number }> {
  let hits = 0
  const server = createServer((socket) => {
    hits += 1
    socket.destroy()
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, () => resolve()))
  const address = server.address()
  return { server, hits: () => hits, port: typeof address === 'object' && address ? address.port : 0 }
}

/** Every way to name a server inside, both at registration and past it. */
async function hostileEndpoints(build: Build): Promise<Outcome> {
  // The port of https: names that are allowed without a port lead there. It needs root.
  const canary = await canaryOn(443).catch(() => canaryOn(0))
  const play = async (scene: Scene): Promise<Outcome> => {
    const { world, fake, sql } = scene
    const { json } = fake.subscribe(await publicKeyOf(world.instance(0)))
    const endpoints = hostileTo(canary.port)
    let taken = 0
    for (const endpoint of endpoints) {
      const answer = await fetch(`http://127.0.0.1:${world.instance(0).directPort}/api/push/subscription?user_id=h`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ subscription: { endpoint, keys: json.keys } }),
      })
      if (answer.status === 204) taken += 1
      else if (answer.status !== 400) throw new Error(`${endpoint} got ${answer.status}`)
    }
    // As if it had been let in, by an older version or another list of hosts.
    await subscribers(scene, 'h', endpoints.length)
    for (const [index, endpoint] of endpoints.entries()) {
      await sql(
        `update push_subscriptions set endpoint = '${endpoint.replaceAll("'", "''")}' where user_id = 'h${index}'`,
      )
    }
    await dueJobs(scene, 'h', endpoints.length)
    for (const [index] of endpoints.entries()) await testPush(world.instance(0), `h${index}`)
    await delay(15_000)
    return {
      figures: {
        endpoints: endpoints.length,
        'names that only the look-up betrays': taken,
        port: canary.port,
        hits: canary.hits(),
      },
      broken: canary.hits() > 0 ? [`the server inside was reached ${canary.hits()} times`] : [],
    }
  }
  try {
    return await played(build, 1, play, { PUSH_HOSTS: 'localhost,localtest.localhost,*.localhost.internal' })
  } finally {
    canary.server.close()
  }
}

async function testPush({ directPort }: Instance, user: string): Promise<void> {
  await fetch(`http://127.0.0.1:${directPort}/api/push/test?user_id=${user}`, { method: 'POST' })
}

function hostileTo(port: number): string[] {
  const names = [
    'localhost',
    'localhost.',
    'localtest.localhost',
    'a.localhost.internal',
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '10.0.0.1',
    '169.254.169.254',
    'fcm.googleapis.com@127.0.0.1',
    'fcm.googleapis.com.localhost',
  ]
  const paths = ['/', '/fcm.googleapis.com/', '/?fcm.googleapis.com', '/#fcm.googleapis.com']
  return names.flatMap((name) => [
    ...paths.map((path) => `https://${name}:${port}${path}${name.length}`),
    `https://${name}/`,
    `http://${name}:${port}/`,
  ])
}

const PLAYS: Readonly<Record<string, Play>> = {
  'one of three killed': oneIsKilled,
  'killed before the jobs': killedBeforeJobs,
  flood,
  outage,
  'hostile endpoints': hostileEndpoints,
}
