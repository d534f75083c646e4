/** A part of a token: JSON as base64url. */
export function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/**
 * The bytes of an unpadded base64url text (RFC 4648 §5), or undefined when it is not the one text for these bytes: another
 * alphabet, padding, or bits beyond the last byte would give one secret many spellings.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
