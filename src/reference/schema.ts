/** The parts of JSON Schema that both documents use. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema | readonly Schema[]
  readonly prefixItems?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
}

export interface Field {
  /** With its way through the objects around it: `messages[].seq`. */
  readonly name: string
  readonly isRequired: boolean
  readonly meaning: string
}

const ID = '019b7c5e-1d2e-7a3b-8c4d-5e6f70819203'
const TIME = '2026-01-02T03:04:05.678Z'

/** What stands in examples, by the name of a field. */
const KNOWN: Readonly<Record<string, unknown>> = {
  ...{ user_id: 'ann', sender_id: 'ann', receiver_id: 'bob', with: 'bob', online_users: 'bob', username: 'ann' },
  ...{ content: 'Hello', display_name: 'Ann Lee', ids: 'ann,bob' },
  ...{ seq: 7, last_seq: 7, delivered_seq: 7, read_seq: 5, peer_delivered_seq: 7, peer_read_seq: 6, count: 1 },
  ...{ token: 'eyJhbGciOi…', refresh_token: 'rt_…', password: 'four plain words here', recovery_code: 'k7f2-…' },
  ...{ url: 'https://chat.example.com/…', endpoint: 'https://push.example.com/…', name: 'messaging-server' },
  ...{ expires_in: 30, max_content_bytes: 16_384, status: 'ok', invite: 'inv_…', code_id: 'inv1', version: '0.1.0' },
  ...{ created_by: 'ann', current: 'four plain words here', new: 'four other words here', next_cursor: null },
}

/** A value that the schema takes. Of an object it has the fields that must be there, or one where none must. */
export function exampleOf(schema: Schema, name = ''): unknown {
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  if (schema.properties) return exampleObject(schema)
  if (schema.anyOf) return exampleOf(schema.anyOf[0] ?? {}, name)
  const [type] = kindsOf(schema)
  if (type === 'array') return itemsOf(schema).map((item) => exampleOf(item, name))
  if (schema.format === 'date-time') return TIME
  if (schema.format === 'uuid' || schema.format === 'guid') return ID
  if (type === 'boolean') return false
  if (Object.hasOwn(KNOWN, name)) return KNOWN[name]
  if (type === 'string') return 'text'
  if (type === 'integer' || type === 'number') return Math.max(schema.minimum ?? 1, 1)
  return {}
}

/** One, or a list of them: `["string", "null"]`. */
function kindsOf({ type = [] }: Schema): readonly string[] {
  return typeof type === 'string' ? [type] : type
}

function exampleObject({ properties = {}, required = [] }: Schema): object {
  const names = required.length > 0 ? required : Object.keys(properties).slice(0, 1)
  return Object.fromEntries(names.map((name) => [name, exampleOf(properties[name] ?? {}, name)]))
}

function itemsOf({ prefixItems, items }: Schema): readonly Schema[] {
  if (prefixItems) return prefixItems
  return Array.isArray(items) ? items : items ? [items as Schema] : []
}

/** Every field of an object and of the objects in it. */
export function fieldsOf(schema: Schema, prefix = ''): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const isRequired = schema.required?.includes(name) === true
    const own = { name: prefix + name, isRequired, meaning: meaningOf(field) }
    return [own, ...fieldsOf(field, `${prefix}${name}.`), ...insideOf(field, `${prefix}${name}`)]
  })
}

/** Fields of an object that stands in a list, or that may be null. */
function insideOf(schema: Schema, path: string): Field[] {
  if (schema.type === 'array' && !schema.prefixItems && !Array.isArray(schema.items))
    return fieldsOf((schema.items ?? {}) as Schema, `${path}[].`)
  return (schema.anyOf ?? []).flatMap((one) => fieldsOf(one, `${path}.`))
}

/** In words: what it was described by, else its kind. */
export function meaningOf(schema: Schema): string {
  if (schema.description !== undefined) return schema.description
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.map(String).join(', ')
  if (schema.anyOf) return schema.anyOf.map(meaningOf).join(', or ')
  if (schema.type === 'array') return `a list: ${itemsOf(schema).map(meaningOf).join(', ')}`
  if (schema.format === 'date-time') return 'a time (RFC 3339, UTC)'
  const kinds = kindsOf(schema).map((kind) => KINDS[kind] ?? kind)
  return kinds.join(', or ') || 'any value'
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'an object',
  null: 'null',
}
