import { AuthError } from '../../client/index.ts'
import type { GetToken } from '../../client/types.ts'
import type { UserId } from '../../protocol/message.ts'
import { keep, kept } from '../parts/kept.ts'

/** Somebody whom a token of this server names. */
export interface Named {
  readonly id: UserId
  readonly name: string
}
/** Somebody else than who is here: a link has brought their token. */
export interface Stranger extends Named {
  readonly token: string
  readonly present: Named
}

/** For this tab alone, and until it is closed. */
const TOKEN = 'token'
/** The user of this tab's token: several tabs may be of several people. */
const OWNER = 'token-of'
/** The user of the token that was taken last in this browser. */
const PERSON = 'person'
const PATIENCE_MS = 10_000
/** Statuses that say what a token is worth. Any other says how the server is, and that the same token may be taken later. */
const REFUSALS = [400, 401, 403, 404]

/** The person of this browser, until they sign out. */
function presentPerson(): Named | undefined {
  try {
    return JSON.parse(kept(PERSON) ?? '') as Named
  } catch {
    return undefined
  }
}

/** Whether nobody else has come to this browser since. */
export const isLast = (id: UserId): boolean => (presentPerson()?.id ?? id) === id

export const hasToken = (): boolean => kept(TOKEN, 'sessionStorage') !== undefined

/** Whose it is. */
export const ownerOfToken = (): UserId | undefined => kept(OWNER, 'sessionStorage')

export function take(token: string, { id, name }: Named): void {
  keep(TOKEN, token, 'sessionStorage')
  keep(OWNER, id, 'sessionStorage')
  keep(PERSON, JSON.stringify({ id, name }))
}

/** `isPersonToo`: whoever comes next is no stranger. */
export function forgetToken(isPersonToo: boolean): void {
  keep(TOKEN, undefined, 'sessionStorage')
  keep(OWNER, undefined, 'sessionStorage')
  if (isPersonToo) keep(PERSON, undefined)
}

/** Only a new link brings another token, so one that ends or is refused is the last. */
export const getToken: GetToken = async ({ reason }) => {
  const token = kept(TOKEN, 'sessionStorage')
  if (token === undefined || reason === 'refused') throw new AuthError()
  if (reason === 'refresh') throw new Error('the token that is here is the only one')
  return token
}

/** The present one, also once it is forgotten: for the last word to the server. */
export function lastToken(): GetToken {
  const token = kept(TOKEN, 'sessionStorage')
  return async () => {
    if (token === undefined) throw new AuthError()
    return token
  }
}

/**
 * Takes the token of a link, if the server takes it. A link must not make somebody another person unnoticed: then it resolves
 * with the stranger, and nothing is taken. Rejects when the server cannot be reached, or says neither yes nor no.
 */
export async function tryToken(token: string): Promise<{ readonly stranger?: Stranger; readonly isTaken: boolean }> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const response = await fetch('/api/users/me', { headers: { authorization: `Bearer ${token}` }, signal })
  if (REFUSALS.includes(response.status)) return { isTaken: false }
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  const { user_id, display_name } = (await response.json()) as { user_id: string; display_name: string }
  const named = { id: user_id, name: display_name }
  const present = presentPerson()
  if (present && present.id !== user_id) return { stranger: { ...named, token, present }, isTaken: false }
  take(token, named)
  return { isTaken: true }
}
