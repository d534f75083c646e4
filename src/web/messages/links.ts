import { LinkifyIt } from 'linkify-it'

/** A piece of a text: as it was written, or a link. */
export interface Piece {
  readonly text: string
  readonly url?: string
}

/** Nobody reads further for links, and looking for them takes time. */
const SEARCHED_LENGTH = 4096
const ALLOWED = /^(https?|mailto):/i
/** Turn the order of what follows: an address could look like another one. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/
/** Scripts whose letters look like no others: of each, a name may stand below a Latin ending. */
const APART = [
  ...['Arabic', 'Hebrew', 'Devanagari', 'Thai', 'Hangul'].map((script) => `\\p{Script=${script}}`),
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Bopomofo}',
].map((letters) => new RegExp(`^[${letters}\\p{M}\\d-]+$`, 'u'))
/** Those of western languages whose marks are seen; not the i without a dot, nor the long s. */
const LATIN = /^[a-z\d\u00df-\u00f6\u00f8-\u0130\u0132-\u0137\u0139-\u017e-]+$/iu
/** Letters that are drawn like Latin ones: no part of a host is of another script. */
const ALIKE = ['Cyrillic', 'Greek'].map((script) => new RegExp(`^[\\p{Script=${script}}\\p{M}\\d-]+$`, 'u'))

const finder = new LinkifyIt({ fuzzyLink: true }).add('ftp:', null).add('//', null)

/**
 * The text in pieces, of which those with a `url` are links that are safe to show. `isCut`: the text goes on in the middle of a word,
 * somewhere else.
 */
export function piecesOf(text: string, isCut = false): readonly Piece[] {
  const searched = text.slice(0, SEARCHED_LENGTH)
  const isShortened = isCut || text.length > SEARCHED_LENGTH
  if (!/[.:]/.test(searched)) return [{ text }]
  const pieces: Piece[] = []
  let from = 0
  for (const { index, lastIndex, url, raw } of finder.match(searched) ?? []) {
    // A link that goes on behind the cut leads elsewhere. What ends a sentence may as well be in the middle of an address.
    if (isShortened && !/\s/.test(searched.slice(lastIndex))) break
    const address = addressOf(url, raw)
    if (!address) continue
    if (index > from) pieces.push({ text: text.slice(from, index) })
    pieces.push({ text: shownAs(raw, address), url: address.href })
    from = lastIndex
  }
  if (from < text.length) pieces.push({ text: text.slice(from) })
  return pieces
}

function addressOf(url: string, raw: string): URL | undefined {
  return ALLOWED.test(url) && !TURNS.test(raw) && URL.canParse(url) ? new URL(url) : undefined
}

/** A host whose letters may be there to look like others is shown in the form that shows it. */
function shownAs(raw: string, { hostname }: URL): string {
  if (!/xn--/.test(hostname)) return raw
  const host = /^(?:\w+:\/\/)?(?:[^/@]*@)?([^/:?#]+)/.exec(raw)?.[1] ?? ''
  const labels = host.split('.')
  const isOf = (script: RegExp): boolean => labels.every((label) => script.test(label))
  const isPlain = labels.every((label) => [LATIN, ...APART].some((script) => script.test(label))) || ALIKE.some(isOf)
  return isPlain ? raw : raw.replace(host, hostname)
}
