import { createHash, randomBytes } from 'node:crypto'

/** A text that nobody can guess, and what is kept of it. */
export interface NewSecret {
  readonly text: string
  readonly hash: Buffer
}

const SECRET_BYTES = 32

/** 256 random bits: cookies, devices and links. */
export function newSecret(): NewSecret {
  const text = randomBytes(SECRET_BYTES).toString('base64url')
  return { text, hash: hashOf(text) }
}

/** Enough for what has as many random bits; passwords are hashed otherwise. */
export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Crockford's base 32: no letter that is read as a digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** So many random characters of 5 bits each. */
export function randomText(characters: number): string {
  // 256 is a multiple of 32, so every character is as likely as the others.
  return [...randomBytes(characters)].map((byte) => ALPHABET[byte % 32]).join('')
}

const RECOVERY_CHARACTERS = 16
const GROUP = 4

/** 80 random bits, as a person copies them from paper: `xxxx-xxxx-xxxx-xxxx`. */
export function newRecoveryCode(): NewSecret {
  const text = randomText(RECOVERY_CHARACTERS)
  const groups = text.match(new RegExp(`.{${GROUP}}`, 'g')) ?? []
  return { text: groups.join('-'), hash: hashOf(text) }
}

/** What is kept of a recovery code, however a person writes it. */
export function recoveryCodeHash(text: string): Buffer {
  const plain = text.toLowerCase().replace(/[\s-]/g, '').replaceAll('o', '0').replace(/[il]/g, '1')
  return hashOf(plain)
}

/** Of a person: 100 random bits, so that no id is given twice and none can be guessed. */
export function newUserId(): string {
  return `u${randomText(20)}`
}

/** Without case, as usernames are compared. */
const USER_ID_FORM = /^u[0-9a-hjkmnp-tv-z]{20}$/i

/** Whether a text could be an id of `newUserId`. */
export function isUserIdForm(text: string): boolean {
  return USER_ID_FORM.test(text)
}
