import type * as z from 'zod'
import type { ErrorCode } from '../../protocol/codes.ts'
import { contentFault } from '../../protocol/text.ts'
import { cursor, expectedOf } from './fields.ts'

/** Why an input is refused, in our words: they say what would be right, and quote nothing of it but names. */
export interface Fault {
  readonly code: ErrorCode
  readonly message?: string | undefined
  /** The field, or the place in it: `user_ids.1`. */
  readonly field?: string | undefined
}

/** The fields of an object, by their names. */
export type Shape = Readonly<Record<string, z.core.$ZodType>>

/** A strict object: it refuses what it does not know. */
export type ObjectSchema<T> = z.ZodType<T> & Pick<z.ZodObject, 'shape'>

/** Longest name that is told back. */
const MAX_NAME_CHARACTERS = 64

/** The first fault that a strict object of this shape found in a value. `what` the object is: "A frame". */
export function describeFault(error: z.core.$ZodError, shape: Shape, value: unknown, what: string): Fault {
  const issue = error.issues[0]
  if (issue?.code === 'unrecognized_keys') return unknownField(String(issue.keys[0]), shape)
  const name = String(issue?.path[0] ?? '')
  const schema = Object.hasOwn(shape, name) ? shape[name] : undefined
  if (!issue || !schema) return { code: 'invalid_request', message: `${what} must be one object.` }
  return wrongField(issue.path.join('.'), expectedOf(schema) ?? 'something else', isMissing(value, name))
}

function isMissing(value: unknown, name: string): boolean {
  return typeof value !== 'object' || value === null || (value as Record<string, unknown>)[name] === undefined
}

/** `field` may lie deeper: the words are about the field of the object that it belongs to. */
export function wrongField(field: string, expected: string, isMissing = false): Fault {
  const [name] = field.split('.')
  const message = isMissing ? `${name} is missing; it must be ${expected}.` : `${name} must be ${expected}.`
  return { code: 'invalid_request', message, field }
}

export function unknownField(name: string, shape: Shape): Fault {
  const field = name.slice(0, MAX_NAME_CHARACTERS)
  return {
    code: 'invalid_request',
    message: `There is no field ${field}; the fields are ${Object.keys(shape).join(', ')}.`,
    field,
  }
}

/** Two fields of one name: which of them a reader takes is anybody's guess. */
export function repeatedField(name: string): Fault {
  const field = name.slice(0, MAX_NAME_CHARACTERS)
  return { code: 'invalid_request', message: `${field} must be given only once.`, field }
}

/** A cursor of the right form that no page ended with. */
export const CURSOR_FAULT: Fault = wrongField('cursor', String(expectedOf(cursor)))

/** What is wrong with the text of a message, beside that it must be one. */
export function contentFaultOf(content: string, maxBytes: number): Fault | undefined {
  const code = contentFault(content, maxBytes)
  if (code === undefined) return undefined
  const field = 'content'
  if (code !== 'payload_too_large') return { code, field }
  return { code, message: `content must be at most ${maxBytes} bytes of UTF-8.`, field }
}
