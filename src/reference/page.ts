import { CLOSES, ERRORS } from '../protocol/codes.ts'
import { exampleOf, type Field, fieldsOf, meaningOf, type Schema } from './schema.ts'

interface Content {
  readonly 'application/json'?: { readonly schema: Schema }
}

interface Operation {
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>
}

/** What the page reads of the OpenAPI document. */
export interface OpenApi {
  readonly info: { readonly title: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Message {
  readonly name: string
  readonly summary: string
  readonly payload: Schema
  readonly examples: readonly { readonly payload: unknown }[]
}

/** What the page reads of the AsyncAPI document. */
export interface AsyncApi {
  readonly operations: Readonly<Record<string, { readonly reply?: { readonly messages: readonly { $ref: string }[] } }>>
  readonly components: { readonly messages: Readonly<Record<string, Message>> }
}

const BASE = 'http://localhost:8080'

/** The reference as one HTML file: nothing in it is a script or comes from elsewhere. */
export function referencePage(openApi: OpenApi, asyncApi: AsyncApi, style: string): string {
  const calls = Object.entries(openApi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => callOf(method.toUpperCase(), path, operation)),
  )
  const frames = Object.entries(asyncApi.components.messages).map(([key, message]) => frameOf(key, message, asyncApi))
  const chapters: Chapter[] = [
    {
      id: 'rest',
      title: 'REST',
      intro: `${link('/openapi.json')} is the same for programs (OpenAPI 3.1).`,
      parts: calls,
    },
    {
      id: 'commands',
      title: 'Commands',
      parts: frames.filter(({ id }) => id.startsWith('command.')),
      intro: `What a client sends at <code>/ws</code>. ${link('/asyncapi.json')} is the same for programs (AsyncAPI 3.0).`,
    },
    {
      id: 'events',
      title: 'Events',
      parts: frames.filter(({ id }) => id.startsWith('event.')),
      intro: 'What the service sends. Ignore an event or a field that you do not know: later versions have more.',
    },
    {
      id: 'errors',
      title: 'Errors',
      intro: 'Of REST with their status, and of the event <code>error</code>.',
      parts: errors(),
    },
    { id: 'closes', title: 'Closes', intro: 'How the service closes a WebSocket.', parts: closes() },
  ]
  const title = `${escaped(openApi.info.title)}: reference`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<nav aria-label="Contents">${chapters.map(contentsOf).join('\n')}</nav>
<main>
<h1>${title}</h1>
${chapters.map(chapterOf).join('\n')}
</main>
</body>
</html>
`
}

interface Part {
  readonly id: string
  /** As text. */
  readonly title: string
  /** As HTML. */
  readonly body: string
}

interface Chapter {
  readonly id: string
  readonly title: string
  readonly intro: string
  readonly parts: readonly Part[]
}

function contentsOf({ id, title, parts }: Chapter): string {
  const links = parts.map((part) => `<li><a href="#${escaped(part.id)}">${escaped(part.title)}</a></li>`)
  return `<details><summary>${title}</summary><ul><li><a href="#${id}">Overview</a></li>${links.join('')}</ul></details>`
}

function chapterOf({ id, title, intro, parts }: Chapter): string {
  return `<h2 id="${id}">${title}</h2>\n<p>${intro}</p>\n${parts.map(partOf).join('\n')}`
}

function partOf({ id, title, body }: Part): string {
  return `<section id="${escaped(id)}"><h3><a href="#${escaped(id)}"><code>${escaped(title)}</code></a></h3>${body}</section>`
}

function callOf(method: string, path: string, operation: Operation): Part {
  const { summary, description, parameters = [], requestBody, responses } = operation
  const body = requestBody?.content['application/json']?.schema
  const fields = [
    ...parameters.map(({ name, in: place, required, schema }) => ({
      name,
      isRequired: required,
      meaning: `${meaningOf(schema)} (${place})`,
    })),
    ...(body ? fieldsOf(body) : []),
  ]
  return {
    id: `${method} ${path}`.toLowerCase().replace(/[^a-z_]+/g, '-'),
    title: `${method} ${path}`,
    body: [
      `<p>${escaped(summary)}${description === undefined ? '' : ` ${escaped(description)}`}</p>`,
      listOf(fields),
      code(curlOf(method, path, operation)),
      ...Object.entries(responses)
        .filter(([status]) => status !== 'default')
        .map(([status, { description: meaning, content }]) => {
          const schema = content?.['application/json']?.schema
          const shown = schema?.properties ? listOf(fieldsOf(schema)) + code(pretty(exampleOf(schema))) : ''
          return `<h4>${status} ${escaped(meaning)}</h4>${shown}`
        }),
    ].join('\n'),
  }
}

/** Parameters of a query that an example has also where they may be left out: without tokens they say who asks, and for whom. */
const SHOWN = ['user_id', 'ids']

/** The call as one types it in a shell. */
export function curlOf(method: string, path: string, operation: Operation): string {
  const { parameters = [], requestBody, description } = operation
  const given = (place: string) =>
    parameters.filter((one) => one.in === place && (one.required || (place === 'query' && SHOWN.includes(one.name))))
  const exampleFor = (one: { name: string; schema: Schema }) => String(exampleOf(one.schema, one.name))
  const filled = given('path').reduce((text, one) => text.replace(`{${one.name}}`, exampleFor(one)), path)
  const query = new URLSearchParams(
    Object.fromEntries(given('query').map((one) => [one.name, exampleFor(one)])),
  ).toString()
  const address = filled + (query && `?${query}`)
  if (path === '/ws') return `websocat --protocol messaging.v1.json '${BASE.replace('http', 'ws')}${address}'`
  const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? []
  return [
    `curl${method === 'GET' ? '' : ` -X ${method}`} '${BASE}${address}'`,
    ...(description === undefined ? [] : ['-H "Authorization: Bearer $TOKEN"']),
    ...(type === undefined ? [] : [`-H 'Content-Type: ${type}'`]),
    ...(content?.schema ? [`-d '${JSON.stringify(exampleOf(content.schema))}'`] : []),
    ...(type !== undefined && !content?.schema ? ['--data-binary @picture'] : []),
  ].join(' \\\n  ')
}

function frameOf(key: string, { name, summary, payload, examples }: Message, { operations }: AsyncApi): Part {
  const replies = (operations[key]?.reply?.messages ?? []).map(({ $ref }) => $ref.slice($ref.lastIndexOf('/') + 1))
  const links = replies.map((reply) => `<a href="#${reply}"><code>${reply.slice('event.'.length)}</code></a>`)
  return {
    id: key,
    title: name,
    body: [
      `<p>${escaped(summary)}</p>`,
      listOf(fieldsOf(payload)),
      ...examples.map((example) => code(pretty(example.payload))),
      links.length > 0 ? `<p>May be answered by ${links.join(', ')}.</p>` : '',
    ].join('\n'),
  }
}

function errors(): Part[] {
  return Object.entries(ERRORS).map(([name, { status, message, temporary }]) => ({
    id: `error.${name}`,
    title: name,
    body: `<p>${status}. ${temporary ? 'The same may succeed later.' : 'The same will fail again.'}</p>${code(
      pretty({ error: { code: name, message }, request_id: exampleOf({ format: 'uuid' }) }),
    )}`,
  }))
}

function closes(): Part[] {
  return Object.values(CLOSES).map(({ code: number, reason, reconnect }) => ({
    id: `close.${number}`,
    title: `${number} ${reason}`,
    body: `<p>${reconnect ? 'Connect again and resume.' : 'Do not connect again by yourself.'}</p>`,
  }))
}

function listOf(fields: readonly Field[]): string {
  if (fields.length === 0) return ''
  const items = fields.map(
    ({ name, isRequired, meaning }) =>
      `<dt><code>${escaped(name)}</code>${isRequired ? '' : ' <i>optional</i>'}</dt><dd>${escaped(meaning)}</dd>`,
  )
  return `<dl>${items.join('')}</dl>`
}

function link(path: string): string {
  return `<a href="${path}">${path}</a>`
}

/** Those that do not fit in width are scrolled, by keys as well. */
function code(text: string): string {
  return `<pre tabindex="0">${escaped(text)}</pre>`
}

function pretty(value: unknown): string {
  return JSON.stringify(value, undefined, 2)
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
