import { loadLanguage, speak } from '../texts/index.ts'
import { keep, kept } from './kept.ts'
import { Value } from './store.ts'

const CHOICE = 'language'

/** The code of the language that the page is shown in: whoever shows it renders again when this changes. */
export const shownLanguage = new Value('en')

/** What was chosen on this device; undefined: as the system. */
export const chosenLanguage = (): string | undefined => kept(CHOICE)

/** Shows the page in the language of this device. Resolves when it does, or when that language cannot be fetched. */
export async function loadTexts(): Promise<void> {
  const chosen = chosenLanguage()
  const language = await loadLanguage(chosen, navigator.languages).catch(() => undefined)
  if (!language || chosen !== chosenLanguage()) return
  speak(language)
  document.documentElement.lang = language.code
  document.documentElement.dir = language.direction
  shownLanguage.set(language.code)
}

/** Keeps the choice on this device; undefined: as the system. */
export function chooseLanguage(code: string | undefined): Promise<void> {
  keep(CHOICE, code)
  return loadTexts()
}
