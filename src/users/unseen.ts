/** What is shown as nothing: joiners, fillers, selectors and tags (Default_Ignorable_Code_Point, UAX #44), and marks of annotations. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/u

/** Of Indic scripts and those that write as they do: what joins two letters into one. */
const VIRAMA = '[\\u094d\\u09cd\\u0a4d\\u0acd\\u0b4d\\u0bcd\\u0c4d\\u0ccd\\u0d4d\\u0dca\\u1039\\u17d2]'
/** Letters whose form depends on the next one. */
const CURSIVE =
  '[\\p{Script_Extensions=Arabic}\\p{Script_Extensions=Syriac}\\p{Script_Extensions=Nko}\\p{Script=Mongolian}]'
const PICTURE = '\\p{Extended_Pictographic}[\\p{Emoji_Modifier}\\ufe0e\\ufe0f]?'

/** Where such a mark changes what is seen, as people write their names: emoji (UTS #51), variants of letters, and joiners (RFC 5892, A.1 and A.2). */
const NEEDED = new RegExp(
  [
    '\\u{1f3f4}[\\u{e0030}-\\u{e0039}\\u{e0061}-\\u{e007a}]{1,6}\\u{e007f}',
    `${PICTURE}(?:\\u200d${PICTURE})*`,
    '[0-9#*]\\ufe0f\\u20e3',
    '\\p{Script=Han}[\\ufe00-\\ufe02\\u{e0100}-\\u{e01ef}]',
    '\\p{Script=Mongolian}[\\u180b-\\u180f]',
    `${VIRAMA}[\\u200c\\u200d]`,
    `\\p{L}\\u200d(?=${VIRAMA})`,
    `${CURSIVE}\\u200c(?=${CURSIVE})`,
  ].join('|'),
  'gu',
)

/** Whether a name holds something that nobody sees: with it, one name is another and looks the same. */
export function holdsUnseen(name: string): boolean {
  return UNSEEN.test(name.replace(NEEDED, ''))
}
