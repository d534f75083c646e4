import type { UserId } from '../protocol/message.ts'
import { holdsUnseen } from './unseen.ts'

/** How a person wants to be shown. */
export interface User {
  readonly userId: UserId
  /** What people type; with built-in accounts alone. */
  readonly username?: string | undefined
  /** The user id of somebody whom nobody described. */
  readonly displayName: string
  /** An address with https, or the path of a picture that was uploaded, or undefined. */
  readonly avatarUrl: string | undefined
}

/** What is to change; a field that is absent stays, null takes it away. */
export interface UserDescription {
  readonly displayName?: string | null | undefined
  readonly avatarUrl?: string | null | undefined
}

/** Who describes somebody else, and from where, for an audit. */
export interface Describer {
  readonly kind: 'key' | 'command_line'
  /** Of a service key; empty for a command. */
  readonly id: string
  readonly address: string
  readonly requestId: string
}

/** Directory of people. Reads and writes reject when the database refuses or is away. */
export interface UserDirectory {
  /**
   * One for each id, in their order; whoever was never described is shown by their id. With built-in accounts those who have none
   * are left out.
   */
  find(userIds: readonly UserId[]): Promise<readonly User[]>
  /** By username without case; nobody has one without built-in accounts. */
  named(username: string): Promise<User | undefined>
  /** Described people of whom the id or a word of the name begins with this, without case; in the order of their ids. */
  search(prefix: string, limit: number): Promise<readonly User[]>
  /**
   * Makes the user if there is none; with built-in accounts nobody is made so, and undefined says it. Resolves with the user as they
   * are now, once that is durable. `by`: where it is not the person themselves.
   */
  describe(userId: UserId, description: UserDescription, by?: Describer): Promise<User | undefined>
}

/** UTF-16 code units. */
export const MAX_DISPLAY_NAME_LENGTH = 64
export const MAX_AVATAR_URL_LENGTH = 2_048
/** Words of one person at most, and characters of one that count. */
const MAX_WORDS = 16
const MAX_WORD_LENGTH = 64

/** Nothing but spaces and what is shown as nothing: zero-width marks, fillers, variation selectors (UAX #44), and the empty Braille cell. */
const INVISIBLE = /^[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]*$/u

/** Why a text cannot be a name, or undefined. The reasons complete "display_name …". */
export function displayNameFault(name: string): string | undefined {
  if (name.trim() === '') return 'must not be empty'
  if (INVISIBLE.test(name)) return 'must hold something that can be seen'
  if (name.length > MAX_DISPLAY_NAME_LENGTH) return `may have ${MAX_DISPLAY_NAME_LENGTH} characters`
  if (!name.isWellFormed()) return 'must be well-formed Unicode'
  // Controls and line ends break lists; overrides of direction (Unicode TR 36 §2.1) make one name look like another.
  if (/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(name)) {
    return 'must not hold control characters or marks of writing direction'
  }
  return holdsUnseen(name) ? 'must not hold marks that cannot be seen' : undefined
}

/** Why a text cannot be the address of a picture, or undefined. The reasons complete "avatar_url …". */
export function avatarUrlFault(url: string): string | undefined {
  if (url.length > MAX_AVATAR_URL_LENGTH) return `may have ${MAX_AVATAR_URL_LENGTH} characters`
  // What the parser would drop from the address would still stand in the text that others get.
  if (!URL.canParse(url) || /[\s\p{Cc}]/u.test(url)) return 'must be an address that begins with https://'
  const { protocol, username, password } = new URL(url)
  if (protocol !== 'https:') return 'must be an address that begins with https://'
  return username !== '' || password !== '' ? 'must hold no user name or password' : undefined
}

/** The words by which a person is found. */
export function searchWords(userId: UserId, displayName: string | undefined, username: string | null = null): string[] {
  const given = [userId, username ?? '', ...(displayName?.split(/[\s\p{P}]+/u) ?? [])]
  const words = given.map(normalizedWord).filter((word) => word !== '')
  return [...new Set(words)].slice(0, MAX_WORDS)
}

/** One form for one word (Unicode NFKC), without case. */
export function normalizedWord(word: string): string {
  return word.normalize('NFKC').toLowerCase().trim().slice(0, MAX_WORD_LENGTH)
}
