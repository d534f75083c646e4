/** What an unknown thrown value says; never empty. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Node.js joins what every address of a name refused, and leaves the message of the whole empty.
  const [first] = error instanceof AggregateError ? error.errors : []
  return error.message || (first === undefined ? (errorCode(error) ?? error.name) : reasonOf(first))
}

/** The `code` of a system error, or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/**
 * Something that the service needs is away or full: the same may succeed a moment later. Says nothing about the outcome. Every error
 * that means this is one.
 */
export class Unavailable extends Error {
  override readonly name: string = 'Unavailable'
}

/** A text that was asked for or sent holds a character that no stored text can hold. */
export class UnstorableText extends Error {
  override readonly name = 'UnstorableText'
}
