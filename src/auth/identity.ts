import { USER_ID_PATTERN } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'

/** What a request says about who is asking, in falling order of weight. */
export interface Claim {
  readonly field: string
  readonly value: string | undefined
}

export type Identity = { readonly userId: UserId } | { readonly wrong: string }

const ANONYMOUS: UserId = 'anonymous'

/** `AUTH=none`: everybody is whom they say they are; the first claim that is made counts. */
export function claimedIdentity(claims: readonly Claim[]): Identity {
  const claim = claims.find(({ value }) => value !== undefined)
  if (claim?.value === undefined) return { userId: ANONYMOUS }
  return USER_ID_PATTERN.test(claim.value) ? { userId: claim.value } : { wrong: claim.field }
}
