// `--revocations`: on three instances with traffic, how long whoever is thrown out stays in, with Redis and without.
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { newServiceKey, type Scope } from '../../src/auth/service-key.ts'
import { type Closing, SocketClient } from '../support/socket-client.ts'
import { goodClaims, SECRET, tokenOf } from '../support/tokens.ts'
import { AccountClient, PASSWORD, type Person, personIn } from './account-client.ts'
import { compileService } from './build.ts'
import type { Instance } from './instance.ts'
import { play, told } from './play.ts'
import type { Scenario } from './scenario.ts'
import type { Settings } from './settings.ts'
import { World } from './world.ts'

const JWT_ENV = { AUTH: 'jwt', JWT_SECRET: SECRET, ADDRESS_REFUSALS_PER_SECOND: '0' }
const ACCOUNTS_ENV = {
  AUTH: 'accounts',
  REGISTRATION: 'open',
  PUBLIC_URL: 'http://chat.test',
  TRUSTED_PROXIES: '127.0.0.1',
  ADDRESS_REFUSALS_PER_SECOND: '0',
}
const PEOPLE = 75
/** Of each person, over the three instances: 300 in all. */
const SOCKETS = 4
/** Between the answer to a send and the next one of a socket. */
const PAUSE_MS = 200
const ROUNDS_WITH_REDIS = 60
const ROUNDS_WITHOUT = 30
const ACCOUNT_ROUNDS = 5
/** What is promised: of a hundred sockets ninety-nine with Redis, and every one without. */
const WITH_REDIS_MS = 200
const WITHOUT_REDIS_MS = 2_000
const REVOKED: Closing = { code: 4401, reason: 'session_revoked' }
const SUSPENDED: Closing = { code: 4403, reason: 'account_suspended' }

/** The last two are without Redis, from the beginning of the first of them on. */
const TOKEN_PLAYS: readonly Scenario[] = [
  { name: 'tokens with Redis', run: (world) => revokeTokens(world, 'with Redis') },
  { name: 'tokens without Redis', run: (world) => revokeTokens(world, 'without Redis') },
]
const ACCOUNT_PLAYS: readonly Scenario[] = [{ name: 'accounts without Redis', run: endAccounts }]

export async function runRevocations({ seed, only }: Settings): Promise<boolean> {
  const build = await compileService()
  const outcomes = []
  try {
    for (const [env, plays] of [
      [JWT_ENV, TOKEN_PLAYS],
      [ACCOUNTS_ENV, ACCOUNT_PLAYS],
    ] as const) {
      const chosen = plays.filter(({ name }) => only.length === 0 || only.includes(name))
      if (chosen.length === 0) continue
      const world = await World.create({ build, instances: 3, env })
      try {
        for (const scenario of chosen) outcomes.push(await play(scenario, world, seed))
        outcomes.push(told({ name: 'nothing unasked', wrong: world.surprises(), seconds: 0 }))
      } finally {
        await world.close()
      }
    }
    return outcomes.every(({ wrong }) => wrong.length === 0)
  } finally {
    await build.remove()
  }
}

/** A socket that goes on sending, and when it was last told that a message of its is stored. */
interface BusySocket {
  readonly socket: SocketClient
  lastSentMs: number
}

interface BusyPerson {
  readonly userId: string
  readonly sockets: readonly BusySocket[]
}

async function busyPerson(world: World): Promise<BusyPerson> {
  const userId = `u-${randomUUID()}`
  const claims = { sub: userId, sid: `login of ${userId}`, jti: `token of ${userId}`, iss: undefined, aud: undefined }
  const token = tokenOf(goodClaims(Math.floor(Date.now() / 1000), claims))
  const open = Array.from({ length: SOCKETS }, (_, at) => busySocket(world.instance(at % 3), token))
  return { userId, sockets: await Promise.all(open) }
}

async function busySocket(instance: Instance, token: string): Promise<BusySocket> {
  const busy = {
    socket: await SocketClient.connect({ port: instance.directPort }, '', { headers: bearer(token) }),
    lastSentMs: 0,
  }
  const goOn = async (): Promise<void> => {
    // Not all in the same moment.
    await delay(Math.random() * PAUSE_MS)
    for (;;) {
      const { type } = await busy.socket.ask({ type: 'send', receiver_id: 'somebody', content: 'hello' })
      if (type === 'sent') busy.lastSentMs = performance.now()
      await delay(PAUSE_MS)
    }
  }
  // Until it is closed.
  goOn().catch(() => undefined)
  return busy
}

const TARGETS: readonly ((userId: string) => object)[] = [
  (userId) => ({ user_id: userId }),
  (userId) => ({ session_id: `login of ${userId}` }),
  (userId) => ({ jti: `token of ${userId}` }),
]

async function revokeTokens(world: World, state: 'with Redis' | 'without Redis'): Promise<string[]> {
  const hasRedis = state === 'with Redis'
  const wrong: string[] = []
  const revoker = bearer(await keyFor(world, 'sessions:revoke'))
  const people = await Promise.all(Array.from({ length: PEOPLE }, () => busyPerson(world)))
  if (!hasRedis) await world.crashRedis()
  await delay(3_000)
  const [closedAfter, sentAfter, keysAfter]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round < (hasRedis ? ROUNDS_WITH_REDIS : ROUNDS_WITHOUT); round += 1) {
    const person = people.shift()
    if (!person) throw new Error('nobody is left')
    const target = TARGETS[round % TARGETS.length]?.(person.userId) ?? {}
    const startedMs = performance.now()
    const ends = person.sockets.map(async ({ socket }) => {
      const closing = await socket.closed
      closedAfter.push(performance.now() - startedMs)
      if (!isSame(closing, REVOKED)) wrong.push(`closed with ${JSON.stringify(closing)}`)
    })
    await request(world.instance(round % 3), 'POST', '/api/auth/revoke', revoker, target)
    await Promise.all(ends)
    sentAfter.push(...person.sockets.map(({ lastSentMs }) => lastSentMs - startedMs))
    if (round % 6 === 0) keysAfter.push(...(await revokeKey(world, revoker)))
    people.push(await busyPerson(world))
  }
  for (const { socket } of people.flatMap(({ sockets }) => sockets)) socket.cut()
  const limitMs = hasRedis ? WITH_REDIS_MS : WITHOUT_REDIS_MS
  const all = [...closedAfter, ...keysAfter]
  const measured = hasRedis ? percentile(all, 0.99) : Math.max(...all)
  say(
    `${PEOPLE * SOCKETS} busy sockets ${state}: ${closedAfter.length} were closed after ${figures(closedAfter)}; the last \`sent\` came ` +
      `${Math.max(...sentAfter).toFixed(0)} ms after the revocation was asked for; keys were refused after ${figures(keysAfter)}`,
  )
  if (measured > limitMs) wrong.push(`${hasRedis ? 'p99' : 'the slowest'} took ${measured.toFixed(0)} ms`)
  if (Math.max(...sentAfter) > WITHOUT_REDIS_MS) wrong.push('something was stored for a socket two seconds after')
  return wrong
}

/** A key that is used on every instance without a pause; when each used it for the last time. */
async function revokeKey(world: World, revoker: Readonly<Record<string, string>>): Promise<number[]> {
  const key = await keyFor(world, 'read:any')
  const read = async (instance: Instance): Promise<number> =>
    (await ask(instance, 'GET', '/api/conversations?user_id=ann', bearer(key))).status
  for (const instance of world.instances) await read(instance)
  const startedMs = performance.now()
  const using = world.instances.map(async (instance) => {
    let lastMs = 0
    for (;;) {
      const askedMs = performance.now()
      if ((await read(instance)) !== 200) return lastMs
      lastMs = askedMs - startedMs
      await delay(5)
    }
  })
  await request(world.instance(0), 'POST', '/api/auth/revoke', revoker, { key_id: key.split('_')[1] })
  return Promise.all(using)
}

interface Ending {
  readonly closing: Closing
  /** Whether the login that asks stays. */
  readonly spares?: true
  readonly act: (world: World, person: Person, admin: Readonly<Record<string, string>>) => Promise<unknown>
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  suspended: {
    closing: SUSPENDED,
    act: (world, { userId }, admin) =>
      request(world.instance(0), 'POST', `/api/admin/users/${userId}/suspend`, admin, {}),
  },
  deleted: {
    closing: SUSPENDED,
    act: (world, { userId }, admin) => request(world.instance(1), 'DELETE', `/api/admin/users/${userId}`, admin),
  },
  'given another password by a link': {
    closing: REVOKED,
    act: async (world, { userId }, admin) => {
      const path = `/api/admin/users/${userId}/reset_link`
      const { body } = await request(world.instance(0), 'POST', path, admin, {})
      const [, link_token] = /#reset=([\w-]+)/.exec(String(body['url'])) ?? []
      await request(world.instance(2), 'POST', '/api/auth/reset', {}, { link_token, new: `${PASSWORD} 2` })
    },
  },
  'changing the password': {
    closing: REVOKED,
    spares: true,
    act: (world, { token }) =>
      request(world.instance(1), 'POST', '/api/auth/password', bearer(token), {
        current: PASSWORD,
        new: `${PASSWORD} 2`,
      }),
  },
}

/** Everybody has two logins, with a socket of each on every instance. */
async function endAccounts(world: World): Promise<string[]> {
  const wrong: string[] = []
  const admin = bearer(await keyFor(world, 'admin'))
  await world.crashRedis()
  await delay(3_000)
  for (const [name, { act, closing, spares }] of Object.entries(ENDINGS)) {
    const took: number[] = []
    for (let round = 0; round < ACCOUNT_ROUNDS; round += 1) {
      const client = new AccountClient(world.instance(round % 3))
      const person = await client.register()
      const other = personIn(await client.login(person.username))
      const [own, others] = [await everywhere(world, person), await everywhere(world, other)]
      const ending = spares ? others : [...own, ...others]
      const startedMs = performance.now()
      const ends = ending.map(async (socket) => {
        const how = await socket.closed
        took.push(performance.now() - startedMs)
        if (!isSame(how, closing)) wrong.push(`${name}: closed with ${JSON.stringify(how)}`)
      })
      await act(world, person, admin)
      await Promise.all(ends)
      if (!spares) continue
      for (const socket of own) await socket.ask({ type: 'ping' })
      for (const socket of own) await socket.close()
    }
    say(`without Redis, a person is ${name}: ${took.length} sockets closed after ${figures(took)}`)
    if (Math.max(...took) > WITHOUT_REDIS_MS) wrong.push(`${name}: the slowest took ${Math.max(...took).toFixed(0)} ms`)
  }
  return wrong
}

function everywhere({ instances }: World, { token }: Person): Promise<SocketClient[]> {
  return Promise.all(
    instances.map(({ directPort: port }) => SocketClient.connect({ port }, '', { headers: bearer(token) })),
  )
}

async function keyFor(world: World, scope: Scope): Promise<string> {
  const { key, stored } = newServiceKey('play', [scope])
  const hash = stored.secretHash.toString('hex')
  await world.cluster.query(
    `insert into service_keys (key_id, secret_hash, name, scopes) values ('${stored.keyId}', '\\x${hash}', 'play', '{${scope}}')`,
    world.database,
  )
  return key
}

type Headers = Readonly<Record<string, string>>

const bearer = (credential: string): Headers => ({ Authorization: `Bearer ${credential}` })

async function ask(instance: Instance, method: string, path: string, headers: Headers, body?: object) {
  const response = await fetch(`http://127.0.0.1:${instance.directPort}${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', ...headers },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Readonly<Record<string, unknown>> }
}

/** Rejects unless it succeeds. */
async function request(instance: Instance, method: string, path: string, headers: Headers, body?: object) {
  const answer = await ask(instance, method, path, headers, body)
  if (answer.status < 300) return answer
  throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

function isSame(one: Closing, other: Closing): boolean {
  return one.code === other.code && one.reason === other.reason
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN
}

function figures(values: readonly number[]): string {
  const [half, most, all] = [percentile(values, 0.5), percentile(values, 0.99), Math.max(...values)]
  return `${half.toFixed(0)} ms (half), ${most.toFixed(0)} ms (p99), ${all.toFixed(0)} ms (all)`
}

function say(text: string): void {
  process.stdout.write(`        ${text}\n`)
}
