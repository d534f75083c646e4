// Redis behind sentinels and over TLS: found, spoken to, and found again when another server has become the primary.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import type { Envelope } from '../../../src/delivery/broker.ts'
import type { RedisAddress } from '../../../src/redis/address.ts'
import { envelope, textOf } from '../../support/builders.ts'
import { type Certificate, makeCertificate } from '../../support/certificate.ts'
import { connectInstance, eventually, openInstance, type RedisInstance } from '../../support/cluster-instance.ts'
import { keepLogs } from '../../support/kept-logs.ts'
import { documentSection } from '../../support/readme.ts'
import { RedisServer } from '../../support/redis.ts'
import { RedisWithSentinels } from '../../support/redis-sentinel.ts'

const PREFIX = 'msg:'
/** As the README of deployment gives them to whoever asks sentinels. */
const SENTINEL_RIGHTS = documentSection('src/deploy/README.md', 'sentinel-acl').replaceAll('```', '').trim()
let directory: string
let certificate: Certificate
const instances: RedisInstance[] = []

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  certificate = makeCertificate(directory)
})
afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.close()))
  await rm(directory, { recursive: true, force: true })
})

function addressOf(env: Record<string, string>): RedisAddress {
  const { address } = loadConfig(env).redis
  if (!address) throw new Error('there is no address')
  return address
}

async function connect(env: Record<string, string>): Promise<RedisInstance> {
  const instance = await connectInstance({ ...addressOf(env), prefix: PREFIX })
  instances.push(instance)
  return instance
}

function hear({ broker }: RedisInstance): string[] {
  const got: string[] = []
  const received = (user: string, envelopes: readonly Envelope[]): void =>
    void got.push(...envelopes.map((one) => `${user} ${textOf(one)}`))
  broker.listen({ received, told: () => undefined, gap: () => undefined })
  return got
}

/** Publishes until it is heard: what goes out while the primary changes is lost, which healing makes up for. */
async function untilHeard({ broker }: RedisInstance, got: readonly string[], text: string): Promise<void> {
  const isHeard = (): boolean => {
    broker.add('ann', envelope(text))
    broker.flush()
    return got.includes(`ann ${text}`)
  }
  await eventually(isHeard, `${text} to be heard`)
}

test('another primary is found at once, over TLS to both, and presence is listed there', async () => {
  const redis = await RedisWithSentinels.start({ sentinels: 1, downAfterMs: 60_000, tls: certificate })
  try {
    const rights = SENTINEL_RIGHTS.split(' ')
    await redis.sentinels[0]?.run('ACL', 'SETUSER', 'asker', 'on', '>secret', ...rights)
    const { cert, key } = certificate
    const files = { REDIS_CA_FILE: cert, REDIS_CERT_FILE: cert, REDIS_KEY_FILE: key }
    const REDIS_SENTINELS = redis.env.REDIS_SENTINELS.replace('://', '://asker:secret@')
    const env = { ...redis.env, ...files, REDIS_SENTINELS }
    const [one, two] = [await connect(env), await connect(env)]
    const got = hear(two)
    await two.broker.subscribe('ann')
    two.presence.connected('ann')
    await untilHeard(one, got, 'before')
    const [first, second] = redis.servers
    expect(await redis.primary()).toBe(first)
    await redis.failOver()
    await eventually(async () => (await redis.primary()) === second, 'the other primary')
    await untilHeard(one, got, 'after')
    await eventually(async () => (await one.presence.online(10)).users.includes('ann'), 'presence')
    const isListed = async (): Promise<boolean> => (await second.run('ZSCORE', `${PREFIX}online`, 'ann')) === '0'
    await eventually(isListed, 'ann in the list of the new primary')
  } finally {
    await redis.stop()
  }
})

test('a server over TLS is spoken to by whoever trusts it and is trusted, and by nobody else', async () => {
  const server = await RedisServer.start([], { tls: certificate })
  try {
    const { cert, key } = certificate
    const files = { REDIS_CA_FILE: cert, REDIS_CERT_FILE: cert, REDIS_KEY_FILE: key }
    const one = await connect({ REDIS_ADDR: server.url, ...files })
    expect(await one.commands.ping()).toBe('PONG')
    for (const [given, reason] of [
      [{}, /self-signed certificate/],
      [{ REDIS_CA_FILE: cert }, /certificate required|Connection is closed|lost|ECONNRESET|EPIPE/],
    ] as const) {
      const logs = keepLogs()
      const address = addressOf({ REDIS_ADDR: server.url, ...given })
      const stranger = openInstance({ ...address, prefix: PREFIX, logger: logs })
      instances.push(stranger)
      await eventually(() => logs.lines.some((line) => reason.test(JSON.stringify(line))), String(reason))
      expect(stranger.commands.status).not.toBe('ready')
    }
  } finally {
    await server.stop()
  }
})
