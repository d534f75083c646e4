import type * as z from 'zod'

/** One method of one path, as the document tells it. */
export interface Operation {
  readonly path: string
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  readonly summary: string
  /** The callers that may use it, where a token is asked for. */
  readonly access?: string
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly headers?: z.ZodObject
  readonly body?: z.ZodObject
  /** Media types of a body that is no JSON. */
  readonly bytes?: readonly string[]
  readonly answers: Readonly<Record<number, { readonly description: string; readonly schema?: z.ZodType }>>
}
