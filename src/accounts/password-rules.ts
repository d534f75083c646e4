import { COMMON_PASSWORDS } from './common-passwords.ts'

/** In characters as people count them: code points. */
export const MIN_PASSWORD_LENGTH = 8
export const MAX_PASSWORD_LENGTH = 128
/** A context word of fewer letters is in too many good passwords by chance. */
const MIN_CONTEXT_LENGTH = 4

/**
 * Why a text cannot be a password, or undefined. `context`: what a stranger would try first, such as the username and the name of
 * the service (NIST SP 800-63B §5.1.1.2, ASVS 5.0 §6.2). The reasons complete "The password …".
 */
export function passwordFault(password: string, context: readonly string[]): string | undefined {
  const length = [...password].length
  if (!password.isWellFormed()) return 'must be well-formed Unicode'
  if (length < MIN_PASSWORD_LENGTH) return `must have ${MIN_PASSWORD_LENGTH} characters or more; 15 are better`
  if (length > MAX_PASSWORD_LENGTH) return `may have ${MAX_PASSWORD_LENGTH} characters`
  const plain = password.toLowerCase()
  if (COMMON_PASSWORDS.has(plain)) return 'is one of those that are tried first'
  if (new Set(plain).size < 4) return 'has too few different characters'
  return isMadeOf(plain, context) ? 'must not be made of your name or the name of this service' : undefined
}

/** What is left without the words must still be a password's worth. */
function isMadeOf(plain: string, context: readonly string[]): boolean {
  const words = context.map((word) => word.toLowerCase()).filter((word) => word.length >= MIN_CONTEXT_LENGTH)
  if (words.some((word) => word === plain)) return true
  const rest = words.reduce((text, word) => text.replaceAll(word, ''), plain)
  return rest.length < plain.length && rest.length < MIN_CONTEXT_LENGTH + 1
}
