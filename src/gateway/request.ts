import { describeFault, type Schema } from '../protocol/commands.ts'
import { type HttpQuestion, RequestError } from './http.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The query of a request as its schema has it; throws a RequestError that names the field. */
export function parseQuery<T>(schema: Schema<T>, { query }: HttpQuestion): T {
  const values: Record<string, string> = {}
  // Object.fromEntries would let the last of two equal names win unseen.
  for (const [name, value] of new URLSearchParams(query)) {
    if (name in values) {
      // Every object has a `toString` and a `__proto__`: these are not repeated, and no parameters of ours.
      const fault = Object.hasOwn(values, name) ? 'repeated' : 'unknown'
      throw new RequestError('invalid_request', { message: `${name} is ${fault}.`, field: name })
    }
    values[name] = value
  }
  return checked(schema, values)
}

/** The JSON body of a request as its schema has it. */
export function parseBody<T>(schema: Schema<T>, { headers, body }: HttpQuestion): T {
  const type = headers.get('content-type') ?? ''
  if (!/^application\/json\s*(;|$)/i.test(type)) throw new RequestError('unsupported_media_type')
  return checked(schema, parseJson(body))
}

function parseJson(body: Buffer | string): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : utf8.decode(body))
  } catch (error) {
    // Bytes that are no UTF-8 are no JSON either. The parser's own words could carry parts of the body.
    throw new RequestError('invalid_json', error instanceof TypeError ? { message: 'The body is not UTF-8.' } : {})
  }
}

function checked<T>(schema: Schema<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { code, ...detail } = describeFault(parsed.error)
  throw new RequestError(code, detail)
}
