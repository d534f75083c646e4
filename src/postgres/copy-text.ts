/** Characters that COPY's text format gives a meaning: the delimiter, the end of a row, the escape itself. */
const SPECIAL = /[\\\t\n\r]/g
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

/**
 * Escapes one text value for `COPY … FROM STDIN` in text format. The value must hold no U+0000 and no lone surrogate:
 * PostgreSQL refuses the first, UTF-8 encoding would silently replace the second.
 * Source: PostgreSQL documentation, COPY, "Text Format".
 */
export function escapeCopyText(value: string): string {
  // search() is several times cheaper than replace() on text that needs no escaping, which is nearly all text.
  return value.search(SPECIAL) < 0 ? value : value.replace(SPECIAL, (character) => ESCAPES[character] ?? character)
}
