/** Tokens for a service with `AUTH=jwt`, made by whoever connects. */
import { createHmac } from 'node:crypto'

export const jwtEnvironment = { AUTH: 'jwt', JWT_SECRET: 'known to everybody who reads this bench' } as const

const hourSeconds = 3600
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const header = encode({ alg: 'HS256' })

/** A new one for each call, as after a login: the service has seen none of them. */
export function tokenOf(userId: string): string {
  const iat = Math.floor(Date.now() / 1000)
  const signed = `${header}.${encode({ sub: userId, iat, exp: iat + hourSeconds })}`
  return `${signed}.${createHmac('sha256', jwtEnvironment.JWT_SECRET).update(signed).digest('base64url')}`
}
