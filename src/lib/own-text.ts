/**
 * The same text in memory of its own. V8 does not copy a piece of a text (of `slice`, `split`, a match, a query), from 13
 * characters on it is a view that keeps the whole text alive. A piece that outlives its whole has to be copied.
 */
export function ownText(piece: string): string {
  // To cut the result of a concatenation writes that result down first, so what stays alive is one character and the piece.
  return ` ${piece}`.slice(1)
}
