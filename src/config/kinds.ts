import { accessSync, constants, statSync } from 'node:fs'
import { z } from 'zod'

type TextSchema = z.ZodType<unknown, string>
export interface Documentation {
  /** What the value may be, to complete "… is not …". */
  readonly expects: string
  /** Meaning and unit. */
  readonly meaning: string
}

export const documentation = new Map<z.ZodType, Documentation & { readonly default: string }>()

function documented<S extends z.ZodType>(schema: S, about: Documentation & { readonly default: string }): S {
  documentation.set(schema, about)
  return schema
}

/** A variable whose default is a text that goes through the same schema as a given value. */
export function variable<S extends TextSchema>(
  schema: S,
  defaultText: z.input<S>,
  about: Documentation,
): z.ZodPrefault<S> {
  return documented(z.prefault(schema, defaultText), { ...about, default: `\`${defaultText}\`` })
}

/** A variable that may stay unset; `whenUnset` says what happens then. */
export function optional<S extends TextSchema>(schema: S, whenUnset: string, about: Documentation): z.ZodOptional<S> {
  return documented(z.optional(schema), { ...about, default: whenUnset })
}

export function wholeNumber(min: number, max: number, defaultNumber: number, meaning: string) {
  const schema = z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(min).max(max))
  return variable(schema, String(defaultNumber), { expects: `a whole number from ${min} to ${max}`, meaning })
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  defaultText: T[number],
  meaning: string,
) {
  return variable(z.enum(values), defaultText, { expects: `one of ${values.join(', ')}`, meaning })
}

export function file(meaning: string, whenUnset = 'none: no TLS') {
  return optional(z.string().refine(isReadableFile), whenUnset, { expects: 'a readable file', meaning })
}

function isReadableFile(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return statSync(path).isFile()
  } catch {
    return false // the caller reports it, by the variable's name
  }
}
