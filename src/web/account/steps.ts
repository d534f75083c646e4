import { readLink } from '../../client/accounts.ts'

/** What is asked at the door. */
export type Step =
  | { readonly screen: 'signin'; readonly note?: string }
  /** `code`: of an invitation, or of the first link that the server printed. */
  | { readonly screen: 'register'; readonly code?: string; readonly isFirst?: boolean }
  | { readonly screen: 'recover' }
  | { readonly screen: 'reset'; readonly code: string }
  | { readonly screen: 'codes'; readonly codes: readonly string[] }

/** What the address asks for; undefined when it is no link of this server. */
export function stepOf(hash: string): Step | undefined {
  const link = readLink(hash)
  if (!link) return undefined
  const { kind, code } = link
  return kind === 'reset' ? { screen: 'reset', code } : { screen: 'register', code, isFirst: kind === 'bootstrap' }
}
