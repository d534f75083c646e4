import { en } from './en.ts'
import type { Texts } from './texts.ts'

const ACCENTED: Readonly<Record<string, string>> = {
  ...{ a: 'á', c: 'ç', d: 'ð', e: 'é', g: 'ĝ', h: 'ĥ', i: 'í', j: 'ĵ', k: 'ķ', l: 'ļ', n: 'ñ', o: 'ö', r: 'ŕ', s: 'š' },
  ...{ t: 'ţ', u: 'ü', w: 'ŵ', y: 'ý', z: 'ž', A: 'Å', C: 'Ç', D: 'Ð', E: 'É', G: 'Ĝ', I: 'Î', L: 'Ļ', N: 'Ñ', O: 'Ö' },
  ...{ R: 'Ŕ', S: 'Š', T: 'Ţ', U: 'Û', W: 'Ŵ', Y: 'Ý' },
}
const PADDING = 'öñé ţŵö ţĥŕéé ƒöüŕ ƒívé šíx šévéñ éíĝĥţ ñíñé ţéñ éļévéñ ţŵéļvé ţĥíŕţééñ ƒöüŕţééñ ƒíƒţééñ'
/** Other languages are longer than English, short texts the most. */
const LONGER = 0.4

function foreign(text: string): string {
  const changed = text
    .split(/(\{\w+\})/)
    .map((part) => (part.startsWith('{') ? part : part.replace(/[A-Za-z]/g, (letter) => ACCENTED[letter] ?? letter)))
    .join('')
  return `[${changed} ${PADDING.slice(0, Math.ceil(text.length * LONGER)).trim()}]`
}

/** English made foreign: for tests of what is translated, and of what has room. */
export const pseudo = Object.fromEntries(
  Object.entries(en).map(([key, text]) => [
    key,
    typeof text === 'string'
      ? foreign(text)
      : Object.fromEntries(Object.entries(text).map(([name, form]) => [name, foreign(form)])),
  ]),
) as unknown as Texts
