import { ownText } from '../lib/own-text.ts'
import { RequestError, type RestRequest } from './rest-exchange.ts'
import { describeFault, type Fault, type ObjectSchema, repeatedField, unknownField } from './wire/faults.ts'
import { noFields } from './wire/fields.ts'
import { repeatedName } from './wire/repeated-names.ts'

const UTF8_NAMES = ['utf-8', 'utf8', '"utf-8"', '"utf8"']
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The query of a request as its schema has it; throws a RequestError that names the field. */
export function parseQuery<T>(schema: ObjectSchema<T>, { query }: RestRequest): T {
  const values: Record<string, string> = {}
  // Object.fromEntries would let the last of two equal names win unseen.
  for (const [name, value] of new URLSearchParams(query)) {
    if (Object.hasOwn(values, name)) throw refused(repeatedField(name))
    // Every object has a `toString` and a `__proto__`; no query of ours has.
    if (name in values) throw refused(unknownField(name, schema.shape))
    values[name] = ownText(value)
  }
  return checked(schema, values, 'The query')
}

/** The JSON body of a request as its schema has it. */
export function parseBody<T>(schema: ObjectSchema<T>, { headers, body }: RestRequest): T {
  if (!isJson(headers.get('content-type') ?? '')) throw new RequestError('unsupported_media_type')
  return checked(schema, parseJson(body), 'The body')
}

/** A call without fields takes an empty body as well; one that says another type than JSON is refused. */
export function parseNoFields(request: RestRequest): void {
  if (request.body.length === 0 && !request.headers.has('content-type')) return
  if (request.body.length === 0 && isJson(request.headers.get('content-type') ?? '')) return
  parseBody(noFields, request)
}

/** JSON is always UTF-8 (RFC 8259, 8.1); another charset is a mistake that would show in the texts only. */
function isJson(contentType: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  if (type.trim() !== 'application/json') return false
  // By hand: a pattern that may begin with blanks at several places takes minutes over a header that is full of them.
  return parameters.every((parameter) => {
    const [name = '', value = ''] = parameter.split('=', 2).map((part) => part.trim())
    return name !== 'charset' || UTF8_NAMES.includes(value)
  })
}

function parseJson(body: Buffer | string): unknown {
  const text = decoded(body)
  const value = jsonOf(text)
  const repeated = repeatedName(text, value)
  if (repeated !== undefined) throw refused(repeatedField(repeated))
  return value
}

function decoded(body: Buffer | string): string {
  try {
    return typeof body === 'string' ? body : utf8.decode(body)
  } catch {
    throw new RequestError('invalid_json', { message: 'The body must be UTF-8.' })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own words could carry parts of the body.
    throw new RequestError('invalid_json')
  }
}

function checked<T>(schema: ObjectSchema<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw refused(describeFault(parsed.error, schema.shape, value, what))
}

/** As an answer to the request. */
export function refused({ code, ...detail }: Fault): RequestError {
  return new RequestError(code, detail)
}
