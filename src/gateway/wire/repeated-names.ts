/**
 * Equal names in one JSON object: parsers keep one of them, some the first and some the last, so what one program has checked
 * another may read differently (RFC 8259, 4). `value`: what the text was parsed to.
 */
export function repeatedName(text: string, value: unknown): string | undefined {
  if (text.length - leastLengthOf(value) < LEAST_MEMBER.length) return undefined
  // Each name is followed by a colon. As many colons as names that were kept: then none was lost, and no text has a colon.
  const names = namesIn(value, 0)
  let colons = 0
  for (let at = text.indexOf(':'); at !== -1; at = text.indexOf(':', at + 1)) {
    colons += 1
    if (!(colons <= names)) return firstRepeated(text)
  }
  return colons === names ? undefined : firstRepeated(text)
}

const LEAST_MEMBER = ',"":0'

/** What the text of a flat object has at least; of others, nothing is known. Nearly every frame has hardly more. */
function leastLengthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 0
  let length = '{}'.length - ','.length
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name]
    length += name.length + '"":,'.length + (typeof field === 'string' ? field.length + '""'.length : 1)
  }
  return length
}

/** Deeper than anything that we take; the rest is left to the slower look, which does not go by recursion. */
const MAX_DEPTH = 8

function namesIn(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (depth === MAX_DEPTH) return Number.NaN
  let names = 0
  if (Array.isArray(value)) {
    for (const element of value) names += namesIn(element, depth + 1)
    return names
  }
  for (const name in value) names += 1 + namesIn((value as Record<string, unknown>)[name], depth + 1)
  return names
}

/** Reads a valid JSON text name by name. */
function firstRepeated(text: string): string | undefined {
  const objects: Set<string>[] = []
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (character === '{') objects.push(new Set())
    else if (character === '}') objects.pop()
    if (character !== '"') continue
    const end = endOfText(text, at)
    if (isName(text, end)) {
      const name = String(JSON.parse(text.slice(at, end)))
      const names = objects.at(-1)
      if (names?.has(name)) return name
      names?.add(name)
    }
    at = end - 1
  }
  return undefined
}

/** The place after the quote that ends the text which starts at this one. */
function endOfText(text: string, start: number): number {
  let end = start
  do {
    end = text.indexOf('"', end + 1)
    if (end === -1) return text.length
  } while (isEscaped(text, end))
  return end + 1
}

function isEscaped(text: string, place: number): boolean {
  let backslashes = 0
  while (text[place - 1 - backslashes] === '\\') backslashes += 1
  return backslashes % 2 === 1
}

const TO_COLON = /[ \t\n\r]*:/y

function isName(text: string, end: number): boolean {
  TO_COLON.lastIndex = end
  return TO_COLON.test(text)
}
