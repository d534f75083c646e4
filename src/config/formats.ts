import { isIP } from 'node:net'
import { z } from 'zod'
import { originOf, parseOrigins } from '../gateway/origin.ts'

/** `host:port` is short for `redis://host:port`. */
export const redisUrl = z
  .string()
  .regex(/^(rediss?:\/\/|[^/]+:\d+$)/)
  .transform((text) => (text.includes('://') ? text : `redis://${text}`))
  .refine(isRedisUrl)

/** What the client would take, and fail on only when it connects, is refused here. */
function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { hostname, pathname, search, hash, username, password } = new URL(text)
  const isPlain = hostname !== '' && search === '' && hash === ''
  return isPlain && /^(\/\d{0,9})?$/.test(pathname) && isDecodable(username) && isDecodable(password)
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false // the caller reports it, by the variable's name
  }
}

/** A name that needs no quotes anywhere, of no schema that is PostgreSQL's own. */
export const schemaName = z.string().regex(/^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}$/)

const listed = (text: string): string[] => text.split(',').map((part) => part.trim())

/** Read by what matches requests against it. */
export const origins = z.string().transform((text, context) => parseOrigins(listed(text)) ?? noValue(context))

/** An address of the web without a path, as an origin. */
export const publicUrl = z
  .string()
  .regex(/^https?:/i)
  .transform((text, context) => originOf(text.replace(/\/$/, '')) ?? noValue(context))

function noValue(context: z.RefinementCtx): never {
  // The words are not shown: what the value may be is said by the variable.
  context.addIssue({ code: 'custom', message: 'wrong' })
  return z.NEVER
}

export const networks = z
  .string()
  .transform(listed)
  .refine((all) => all.every(isNetwork))

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32))
}
