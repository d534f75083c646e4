import { en } from './en.ts'
import { type Formats, formatsOf } from './formats.ts'
import { type Texts, type Translate, translator } from './texts.ts'

/** A language of the page: what it says and how it writes. */
export interface Language {
  readonly code: string
  readonly direction: 'ltr' | 'rtl'
  readonly t: Translate
  readonly formats: Formats
}

interface Source {
  /** In the language itself; missing for those of tests, which nobody is offered. */
  readonly name?: string
  /** Of the language that its numbers and dates are written in. */
  readonly locale: string
  readonly direction: 'ltr' | 'rtl'
  load(): Promise<Texts>
}

const SOURCES: Readonly<Record<string, Source>> = {
  en: { name: 'English', locale: 'en', direction: 'ltr', load: async () => en },
  de: { name: 'Deutsch', locale: 'de', direction: 'ltr', load: async () => (await import('./de.ts')).de },
  // Every text is longer and looks foreign: what still reads as English is not translated, what is cut off has too little room.
  'en-XA': { locale: 'en', direction: 'ltr', load: async () => (await import('./pseudo.ts')).pseudo },
  // The same from right to left.
  'ar-XB': { locale: 'en', direction: 'rtl', load: async () => (await import('./pseudo.ts')).pseudo },
}

/** What can be chosen: codes and their names. */
export const LANGUAGES: readonly (readonly [code: string, name: string])[] = Object.entries(SOURCES).flatMap(
  ([code, { name }]) => (name === undefined ? [] : [[code, name] as const]),
)

/** `wanted`: the languages of the person's system, the first one first. */
export function languageOf(code: string, texts: Texts = en, wanted: readonly string[] = []): Language {
  const { locale, direction } = SOURCES[code] as Source
  // The variant that the system uses says whether the clock has 12 or 24 hours.
  const regional = wanted.find((one) => one === locale || one.startsWith(`${locale}-`)) ?? locale
  const t = translator(texts, regional)
  return { code, direction, t, formats: formatsOf(regional, t) }
}

/** The chosen language, else the first of the system's that there is, else English. Rejects when it cannot be fetched. */
export async function loadLanguage(chosen: string | undefined, wanted: readonly string[]): Promise<Language> {
  const code = [chosen, ...wanted.map((one) => one.split('-')[0])].find((one) => one !== undefined && one in SOURCES)
  const texts = await SOURCES[code ?? 'en']?.load()
  return languageOf(code ?? 'en', texts, wanted)
}
