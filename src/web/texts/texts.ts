import type { en } from './en.ts'

/** A text that depends on a number has a form for each case that the language tells apart. */
export type Forms = Readonly<Partial<Record<Intl.LDMLPluralRule, string>> & { other: string }>
export type TextKey = keyof typeof en
/** All texts of the page, in one language. */
export type Texts = Readonly<Record<TextKey, string | Forms>>

type NamesIn<Text> = Text extends `${string}{${infer Name}}${infer Rest}` ? Name | NamesIn<Rest> : never
type English<Key extends TextKey> = (typeof en)[Key] extends { other: infer Text } ? Text : (typeof en)[Key]
type Names<Key extends TextKey> = NamesIn<English<Key>> | ((typeof en)[Key] extends Forms ? 'count' : never)
type Values<Name extends string> = Readonly<Record<Name, string | number>>
type Arguments<Key extends TextKey> = [Names<Key>] extends [never] ? [] : [values: Values<Names<Key>>]

/** The text of a key, with its values put in; numbers are written as the language writes them. */
export type Translate = <Key extends TextKey>(key: Key, ...values: Arguments<Key>) => string

export function translator(texts: Texts, locale: string): Translate {
  const plural = new Intl.PluralRules(locale)
  const number = new Intl.NumberFormat(locale)
  return (key, ...[values]) => {
    const found = texts[key]
    const known = (values ?? {}) as Values<string>
    const text = typeof found === 'string' ? found : (found[plural.select(Number(known['count']))] ?? found.other)
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = known[name]
      return typeof value === 'number' ? number.format(value) : (value ?? whole)
    })
  }
}
