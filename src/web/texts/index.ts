import { type Language, languageOf } from './languages.ts'
import type { Translate } from './texts.ts'

let present: Language = languageOf('en')

/**
 * The text of a key in the present language: `t('compose.send')`, `t('talk.jump', { count: 3 })`. To be asked when rendering, not
 * before. When another language is chosen the page is rendered anew as a whole.
 */
export const t: Translate = (key, ...values) => present.t(key, ...values)

/** How the present language writes times. */
export const formats = (): Language['formats'] => present.formats

/** From now on the page says everything in this language. */
export function speak(language: Language): void {
  present = language
}

export { LANGUAGES, type Language, loadLanguage } from './languages.ts'
export type { TextKey } from './texts.ts'
