import { z } from 'zod'
import { type RedisAddress, type Sentinels, serverIn } from '../redis/address.ts'
import { redisUrl } from './formats.ts'
import { file, optional, variable } from './kinds.ts'

/** Redis, and the ways in which people run it. */
export const redisVariables = {
  REDIS_ADDR: optional(redisUrl, 'none: single instance', {
    expects: 'host:port or a redis:// or rediss:// URL such as redis://user:password@host:6379/1',
    meaning: 'Redis (6.2 or newer) or Valkey that connects several instances; `rediss://` is TLS',
  }),
  REDIS_SENTINELS: optional(
    z.string().transform((text, context) => sentinelsIn(text) ?? noValue(context)),
    'none',
    {
      expects:
        'a comma-separated list of host:port, or of redis:// or rediss:// URLs with one user and password for all of them',
      meaning:
        'Sentinels to ask where Redis is; the host of `REDIS_ADDR` is then the name of the primary: `redis://mymaster`',
    },
  ),
  REDIS_CLUSTER: optional(
    z.string().transform((text, context) => (text === 'on' ? ON : (nodesIn(text) ?? noValue(context)))),
    'none: one server',
    {
      expects: 'on, or a comma-separated list of host:port',
      meaning: 'Redis (7 or newer) is a Cluster: `REDIS_ADDR` names one of its nodes, this further ones to begin with',
    },
  ),
  REDIS_CA_FILE: file('authorities (PEM) that may have signed the certificate of Redis', 'none: those of Node.js'),
  REDIS_CERT_FILE: file('certificate (PEM) that Redis is shown; needs `REDIS_KEY_FILE`', 'none'),
  REDIS_KEY_FILE: file('its private key (PEM)', 'none'),
  REDIS_PREFIX: variable(z.string(), 'msg:', {
    expects: 'text',
    meaning: 'put before every Redis key and channel, with the number of the database if that is not 0',
  }),
}

const redisShape = z.object(redisVariables)
type Given = z.infer<typeof redisShape>

const ON = Object.freeze({ nodes: Object.freeze([]) })

function nodesIn(text: string): RedisAddress['cluster'] {
  const parts = text.split(',').map((part) => part.trim())
  if (!parts.every((part) => /^[^/@]+:\d+$/.test(part) && redisUrl.safeParse(part).success)) return undefined
  return Object.freeze({ nodes: Object.freeze(parts.map((part) => Object.freeze(serverIn(`redis://${part}`, 6379)))) })
}

/** Undefined when it is no such list. */
function sentinelsIn(text: string): Sentinels | undefined {
  const parsed = text.split(',').map((one) => redisUrl.safeParse(one.trim()).data)
  const urls = parsed.flatMap((url) => (url === undefined ? [] : [new URL(url)]))
  const [first] = urls
  if (!first || urls.length < parsed.length) return undefined
  const isAlike = urls.every(
    ({ protocol, username, password, pathname }) =>
      protocol === first.protocol &&
      username === first.username &&
      password === first.password &&
      /^\/?$/.test(pathname),
  )
  if (!isAlike) return undefined
  const servers = urls.map(({ href }) => Object.freeze(serverIn(href, 26_379)))
  return Object.freeze({
    servers: Object.freeze(servers),
    username: decodeURIComponent(first.username),
    password: decodeURIComponent(first.password),
    isSecure: first.protocol === 'rediss:',
  })
}

function noValue(context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom', message: 'wrong' })
  return z.NEVER
}

/** Mistakes that lie between these variables, in the text as it was given. */
export function redisMistakes(given: Readonly<Record<string, string | undefined>>): string[] {
  const { REDIS_ADDR: address, REDIS_SENTINELS: sentinels, REDIS_CERT_FILE: cert, REDIS_KEY_FILE: key } = given
  const mistakes: string[] = []
  if (sentinels && !address) {
    mistakes.push('REDIS_ADDR: is missing beside REDIS_SENTINELS; redis://mymaster names the primary')
  }
  if (sentinels && address && /:\d+(\/\d*)?$/.test(address)) {
    mistakes.push('REDIS_ADDR: has a port beside REDIS_SENTINELS, which tell it; redis://mymaster names the primary')
  }
  mistakes.push(...clusterMistakes(given))
  if (cert && !key) mistakes.push('REDIS_KEY_FILE: is missing beside REDIS_CERT_FILE')
  if (key && !cert) mistakes.push('REDIS_CERT_FILE: is missing beside REDIS_KEY_FILE')
  const isSecure = [address, sentinels].some((text) => text?.includes('rediss://'))
  for (const name of ['REDIS_CA_FILE', 'REDIS_CERT_FILE', 'REDIS_KEY_FILE']) {
    if (given[name] && !isSecure) mistakes.push(`${name}: is for TLS, and REDIS_ADDR is not rediss://`)
  }
  return mistakes
}

function clusterMistakes(given: Readonly<Record<string, string | undefined>>): string[] {
  if (!given.REDIS_CLUSTER) return []
  const mistakes: string[] = []
  if (!given.REDIS_ADDR) mistakes.push('REDIS_ADDR: is missing beside REDIS_CLUSTER; it names one of the nodes')
  if (given.REDIS_SENTINELS) mistakes.push('REDIS_SENTINELS: does not go with REDIS_CLUSTER, which has none')
  if (/\/0*[1-9]\d*$/.test(given.REDIS_ADDR ?? '')) mistakes.push('REDIS_ADDR: a Redis Cluster has no database but 0')
  if (given.REDIS_PREFIX?.includes('{'))
    mistakes.push('REDIS_PREFIX: must have no { with REDIS_CLUSTER, which adds its own')
  return mistakes
}

/** Without an address: this instance is alone. */
export function toRedisConfig(given: Given): { readonly address: RedisAddress | undefined; readonly prefix: string } {
  const { REDIS_ADDR: url, REDIS_CA_FILE: ca, REDIS_CERT_FILE: cert, REDIS_KEY_FILE: key } = given
  const { REDIS_SENTINELS: sentinels, REDIS_CLUSTER: cluster } = given
  const tls = Object.freeze({ ca, cert, key })
  const address = url === undefined ? undefined : Object.freeze({ url, sentinels, cluster, tls })
  return Object.freeze({ address, prefix: prefixIn(url, given.REDIS_PREFIX) })
}

/** Redis keeps the keys of its databases apart, but not their channels. */
function prefixIn(url: string | undefined, prefix: string): string {
  const database = url === undefined ? 0 : Number(new URL(url).pathname.slice(1))
  return database === 0 ? prefix : `${prefix}db${database}:`
}
