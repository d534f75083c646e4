// What a reader finds at /docs: everything there is, with examples that the service's own schemas take.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { asyncApiDocument } from '../../../src/gateway/wire/asyncapi.ts'
import { openApiDocument } from '../../../src/gateway/wire/openapi.ts'
import { OPERATIONS } from '../../../src/gateway/wire/operations.ts'
import { CLOSES, ERRORS } from '../../../src/protocol/codes.ts'
import { type AsyncApi, curlOf, type OpenApi, referencePage } from '../../../src/reference/page.ts'
import { exampleOf, fieldsOf } from '../../../src/reference/schema.ts'

const openApi = JSON.parse(JSON.stringify(openApiDocument())) as OpenApi
const asyncApi = JSON.parse(JSON.stringify(asyncApiDocument())) as AsyncApi
const style = readFileSync(new URL('../../../src/reference/reference.css', import.meta.url), 'utf8')
const page = referencePage(openApi, asyncApi, style)
const idsOf = (html: string) => [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)

describe('the reference', () => {
  test('has every call, command, event and code, each once', () => {
    const ids = idsOf(page)
    expect(new Set(ids).size).toBe(ids.length)
    const frames = Object.keys(asyncApi.components.messages)
    const codes = [...Object.keys(ERRORS).map((code) => `error.${code}`)]
    const closes = Object.values(CLOSES).map(({ code }) => `close.${code}`)
    expect(ids).toEqual(expect.arrayContaining([...frames, ...codes, ...closes]))
    for (const { method, path } of OPERATIONS) expect(page).toContain(`<code>${method.toUpperCase()} ${path}</code>`)
    expect(page.split('<section').length - 1).toBe(OPERATIONS.length + frames.length + codes.length + closes.length)
  })

  test('leads nowhere but to itself and to the two documents, and runs nothing', () => {
    const ids = idsOf(page).map((id) => `#${id}`)
    const links = [...page.matchAll(/ href="([^"]*)"/g)].map(([, to]) => to)
    expect(links.filter((to) => !ids.includes(to ?? ''))).toEqual(['/openapi.json', '/asyncapi.json'])
    expect(page).not.toMatch(/<(script|link|img|iframe|form|base)\b| on\w+=| style=| src=/i)
    expect(style).not.toMatch(/@import|url\(|</)
  })

  test('shows texts as they are, whatever stands in them', () => {
    const message = { name: 'x', summary: '<b onclick="x">&', payload: {}, examples: [] }
    const html = referencePage(
      { ...openApi, paths: {} },
      { operations: {}, components: { messages: { 'event.x': message } } },
      '',
    )
    expect(html).toContain('<p>&#60;b onclick=&#34;x&#34;&#62;&#38;</p>')
  })

  test('names the fields of objects within objects, and which must be there', () => {
    const payload = asyncApi.components.messages['event.conversations']?.payload ?? {}
    const fields = fieldsOf(payload)
    expect(fields).toContainEqual({ name: 'ref', isRequired: false, meaning: expect.stringContaining('a text') })
    expect(fields.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['conversations[].with', 'conversations[].last_message.seq']),
    )
  })
})

describe('the examples', () => {
  test.each(OPERATIONS)(
    'of $method $path are taken by its schemas',
    ({ method, path, params, query, body, answers }) => {
      const operation = openApi.paths[path]?.[method]
      if (!operation) throw new Error('it is not described')
      const call = curlOf(method.toUpperCase(), path, operation)
      const address = new URL(/'((?:http|ws):[^']+)'/.exec(call)?.[1] ?? '')
      expect(query?.safeParse(Object.fromEntries(address.searchParams)).error).toBeUndefined()
      expect(address.pathname).not.toMatch(/[{}]|%7B/)
      expect(Object.keys(params?.shape ?? {}).every((name) => path.includes(`{${name}}`))).toBe(true)
      const sent = / -d '([^']+)'/.exec(call)?.[1]
      expect(sent !== undefined).toBe(body !== undefined)
      expect(body?.safeParse(JSON.parse(sent ?? '{}')).error).toBeUndefined()
      for (const [status, { schema }] of Object.entries(answers)) {
        const shown = operation.responses[status]?.content?.['application/json']?.schema
        expect(schema?.safeParse(exampleOf(shown ?? {})).error).toBeUndefined()
      }
    },
  )
})
