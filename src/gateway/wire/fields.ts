import * as z from 'zod'
import { USER_ID_PATTERN } from '../../protocol/limits.ts'

/**
 * Says what a field must be, to complete "receiver_id must be …". The words are the message when a value is wrong, and the
 * description in /openapi.json.
 */
export function field<S extends z.ZodType>(schema: S, expected: string): S {
  return schema.meta({ description: expected })
}

/** What was said of a field, or of the schema that it wraps. */
export function expectedOf(schema: z.core.$ZodType): string | undefined {
  for (let one: z.core.$ZodType | undefined = schema; one; one = wrappedBy(one)) {
    const expected = z.globalRegistry.get(one)?.description
    if (expected !== undefined) return expected
  }
  return undefined
}

function wrappedBy(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? schema.def.innerType : undefined
}

export const wholeNumber = (min: number, max: number) =>
  field(z.int().min(min).max(max), `a whole number from ${min} to ${max}`)

/** What must stand where a person is named. */
export const USER_ID = 'a user id: 1 to 128 letters, digits or . _ @ + -, the first of them a letter or a digit'
export const UUID = 'a UUID'

export const userId = field(z.string().regex(USER_ID_PATTERN), USER_ID)
/** Any UUID: its version is the client's affair. */
export const messageId = field(z.guid(), UUID)
/** Its largest size is configured and checked apart. */
export const content = field(z.string().min(1), 'a text of at least one character')
/** Opaque: `next_cursor` of the page before. */
export const cursor = field(z.string().min(1).max(512), 'the next_cursor of the page before')
export const seq = field(z.int().min(1), 'a whole number from 1 on')
/** Exclusive bound of a page: 0 means "from the very beginning". */
export const bound = field(z.int().min(0), 'a whole number from 0 on')

/** The body of a call that takes none. */
export const noFields = z.strictObject({})

/** Whether a number is the same to the client when it comes back: beyond 2^53 whole numbers run into one another. */
export function isEchoed(ref: number): boolean {
  return Number.isInteger(ref) ? Number.isSafeInteger(ref) && !Object.is(ref, -0) : Number.isFinite(ref)
}

export const ref = field(
  z.union([z.string(), z.number().refine(isEchoed)]),
  `a text, or a number that can come back as it was sent: a whole one from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`,
).optional()
