/**
 * A PostgreSQL array literal of texts that need no escaping. Each is quoted: an unquoted element NULL would be a null.
 * Source: PostgreSQL documentation, "Array Input and Output Syntax".
 */
export function arrayLiteral(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text}"`).join(',')}}`
}

/** The same of any texts. */
export function escapedArrayLiteral(texts: readonly string[]): string {
  return arrayLiteral(texts.map((text) => text.replace(/["\\]/g, '\\$&')))
}
