import type { UserId } from '../protocol/message.ts'
import type { Actor } from './audit.ts'

/** Where a request comes from. */
export interface Asker {
  /** An IPv4 address, or the /64 of an IPv6 address. */
  readonly address: string
  /** Behind a proxy that is not listed everybody has one address: they are many, and are counted as many. */
  readonly isNetworkShared: boolean
  readonly userAgent: string | undefined
  readonly requestId: string
}

/** In the audit: who asks, if that is known. */
export function actorOf({ address, requestId }: Asker, userId?: UserId): Actor {
  return { kind: userId === undefined ? 'nobody' : 'user', id: userId ?? '', address, requestId }
}
