import * as z from 'zod'
import { type Answer, get, type Json } from './rest-client.ts'
import type { Target } from './service.ts'

interface Described {
  readonly content?: { readonly 'application/json': { readonly schema: z.core.JSONSchema.JSONSchema } }
}
type Operations = Readonly<Record<string, { readonly responses: Readonly<Record<string, Described>> }>>

/** Checks answers against the document that the service itself publishes. */
export class OpenApi {
  readonly document: Json
  readonly #paths: Readonly<Record<string, Operations>>
  readonly #schemas = new Map<Described, z.ZodType>()

  private constructor(document: Json) {
    this.document = document
    this.#paths = document.paths as Readonly<Record<string, Operations>>
  }

  static async of(target: Target): Promise<OpenApi> {
    const { body } = await get(target, '/openapi.json')
    if (!body) throw new Error('there is no document')
    return new OpenApi(body)
  }

  /** Throws when the answer of a described operation is not as described. */
  check(method: string, url: string, { status, body }: Answer): void {
    const responses = this.#paths[url.split('?')[0] ?? '']?.[method.toLowerCase()]?.responses
    const described = responses?.[status] ?? (status >= 400 ? responses?.default : undefined)
    // Errors of what is not described (other paths, other methods) look like all errors.
    const schema = this.#schemaOf(described ?? this.#anyError(status, url))
    const { error } = schema?.safeParse(body) ?? {}
    if (error) throw new Error(`${method} ${url} ${status} is not as described: ${z.prettifyError(error)}`)
  }

  #anyError(status: number, url: string): Described {
    const described = this.#paths['/healthz']?.get?.responses.default
    if (status < 400 || !described) throw new Error(`${url} ${status} is not described`)
    return described
  }

  #schemaOf(described: Described): z.ZodType | undefined {
    const known = this.#schemas.get(described)
    if (known || !described.content) return known
    const schema = z.fromJSONSchema(described.content['application/json'].schema)
    this.#schemas.set(described, schema)
    return schema
  }
}
