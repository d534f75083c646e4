// `npm run browser`: three instances behind one address. Some are killed, and Redis is; what people see is read from their pages.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { placeBuilt } from '../support/built-files.ts'
import { BROWSER_START_LIMIT_MS, launchChromium } from '../support/chromium.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { RedisServer } from '../support/redis.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketProxy } from '../support/socket-proxy.ts'
import { TalkTab } from '../support/talk-tab.ts'

const HOST = '127.0.0.1'
const INSTANCES = 3
const ROUNDS = 30
const SETTLED_MS = 60_000
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const services = useServices()
let database: TestDatabase
let redis: RedisServer
let browser: Browser
let proxy: SocketProxy
let port = 0
let env: Record<string, string>
let instances: ServiceProcess[] = []
let asked = 0

/** As a balancer does it: each connection goes to the next instance that lives. */
function next(): number | undefined {
  const living = instances.filter(({ hasExited }) => !hasExited)
  asked += 1
  return living[asked % living.length]?.port
}

beforeAll(async () => {
  await placeBuilt('web', await services.ownFiles())
  database = await createDatabase()
  redis = await RedisServer.start()
  proxy = new SocketProxy(next)
  port = await proxy.listen()
  env = { POSTGRES_DSN: database.dsn, REDIS_ADDR: redis.url, PUBLIC_URL: `http://${HOST}:${port}` }
  instances = await Promise.all(Array.from({ length: INSTANCES }, () => services.start(env)))
  browser = await launchChromium()
}, BROWSER_START_LIMIT_MS)
afterAll(async () => {
  await browser.close()
  proxy.close()
  await Promise.all(instances.map((instance) => instance.kill9()))
  await redis.stop()
  await database.drop()
})

async function enter(name: string, other: string): Promise<TalkTab> {
  const context = await browser.newContext({ serviceWorkers: 'block' })
  onTestFinished(() => context.close())
  const url = (host: string, path: string): string => `http://${host}:${port}${path}`
  const tab = await TalkTab.enter({ url }, context, { host: HOST, name })
  await tab.talkTo(other)
  return tab
}

test('nothing is lost, doubled or out of order on any page while instances and Redis are killed', async () => {
  const pairs = [
    ['ann', 'bob'],
    ['bob', 'cid'],
    ['cid', 'ann'],
  ] as const
  const talks = await Promise.all(
    pairs
      .flatMap(([a, b]) => [
        [a, b],
        [b, a],
      ])
      .map(async ([me = '', other = '']) => ({ me, other, tab: await enter(me, other) })),
  )
  const faults: Readonly<Record<number, () => Promise<unknown>>> = {
    5: async () => instances[0]?.kill9(),
    10: async () => {
      instances[0] = await services.start(env)
    },
    12: () => redis.kill(),
    18: () => redis.startAgain(),
    22: () => Promise.all([instances[1]?.kill9(), redis.kill()]),
    26: () => redis.startAgain(),
  }
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const { me, other, tab } of talks) await tab.say(`${me} to ${other} ${round}`)
    await faults[round]?.()
    await pause(150)
  }
  for (const { me, other, tab } of talks) {
    await tab.until(`!document.querySelector('[data-state=queued], [data-state=sending], .banner')`, SETTLED_MS)
    const { body } = await get({ port: next() ?? 0 }, `/api/messages?user_id=${me}&with=${other}&limit=500`)
    const stored = body?.['messages'] as { seq: number; content: string }[]
    expect(stored.map(({ content }) => content).toSorted()).toEqual(
      talks
        .filter((talk) => (talk.me === me && talk.other === other) || (talk.me === other && talk.other === me))
        .flatMap((talk) => Array.from({ length: ROUNDS }, (_, index) => `${talk.me} to ${talk.other} ${index + 1}`))
        .toSorted(),
    )
    for (const from of [me, other]) {
      const own = stored.flatMap(({ content }) =>
        content.startsWith(`${from} `) ? [Number(content.split(' ').at(-1))] : [],
      )
      expect(own).toEqual(Array.from({ length: ROUNDS }, (_, index) => index + 1))
    }
    await expect
      .poll(() => tab.readAll(), { timeout: SETTLED_MS, interval: 500 })
      .toEqual(stored.map(({ seq, content }) => `${seq} ${content}`))
    expect(tab.complaints).toEqual([])
  }
})
