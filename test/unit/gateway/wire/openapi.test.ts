import { describe, expect, test } from 'vitest'
import { documentAnswer } from '../../../../src/gateway/rest-exchange.ts'
import { ROUTE_METHODS } from '../../../../src/gateway/route-table.ts'
import { openApiDocument } from '../../../../src/gateway/wire/openapi.ts'
import { onlineUsersAnswer, sendAnswer } from '../../../../src/gateway/wire/rest.ts'
import { CLOSES, ERRORS } from '../../../../src/protocol/codes.ts'

interface Operation {
  summary: string
  parameters?: { name: string; in: string; required: boolean; schema: Record<string, unknown> }[]
  requestBody?: { required: boolean; content: Record<string, { schema: Record<string, unknown> }> }
  responses: Record<string, { description: string; content?: Record<string, { schema: Record<string, unknown> }> }>
}
test('is written out once, however many ask for it', () => {
  const answer = documentAnswer(openApiDocument)
  expect(answer()).toBe(answer())
  expect(JSON.parse(String(answer().body))).toEqual(JSON.parse(JSON.stringify(openApiDocument())))
})

const document = JSON.parse(JSON.stringify(openApiDocument())) as {
  openapi: string
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

describe('the OpenAPI document', () => {
  test('lists every route of the server and no other', () => {
    const served = ROUTE_METHODS.flatMap(({ path, methods }) => methods.map((method) => `${method} ${path}`))
    expect(operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`).sort()).toEqual(served.sort())
  })

  test('has what OpenAPI 3.1 asks for', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/)
    expect(document.info.title).not.toBe('')
    expect(document.info.version).not.toBe('')
  })

  test.each(operations)('describes $method $path', ({ path, operation }) => {
    expect(path).toMatch(/^\//)
    expect(operation.summary).not.toBe('')
    const answers = Object.entries(operation.responses)
    expect(answers.some(([status]) => /^[1-3]\d\d$/.test(status))).toBe(true)
    for (const [status, answer] of answers) {
      expect(status).toMatch(/^([1-5]\d\d|default)$/)
      expect(typeof answer.description).toBe('string')
      for (const { schema } of Object.values(answer.content ?? {})) expect(schema['type']).toBe('object')
    }
    for (const parameter of operation.parameters ?? []) {
      expect(['path', 'query', 'header']).toContain(parameter.in)
      expect(['string', 'integer', 'number']).toContain(parameter.schema['type'])
    }
  })

  test('says which fields of a message are required, and that others are refused', () => {
    const schema = document.paths['/api/send_message']?.['post']?.requestBody?.content['application/json']?.schema
    expect(schema).toMatchObject({ required: ['receiver_id', 'content'], additionalProperties: false })
    const { parameters } = document.paths['/api/messages']?.['get'] ?? {}
    expect(parameters?.filter(({ required }) => required).map(({ name }) => name)).toEqual(['with'])
  })

  test('names the headers that are heeded', () => {
    const headersOf = (path: string, method: string) =>
      document.paths[path]?.[method]?.parameters?.filter((one) => one.in === 'header').map(({ name }) => name)
    expect(headersOf('/api/send_message', 'post')).toEqual(['X-User-Id', 'Idempotency-Key'])
    expect(headersOf('/api/messages', 'get')).toEqual(['X-User-Id'])
    expect(headersOf('/api/conversations', 'get')).toEqual(['X-User-Id'])
  })

  test('describes itself as something with fields', () => {
    const schema = document.paths['/openapi.json']?.['get']?.responses['200']?.content?.['application/json']?.schema
    expect(schema).toEqual(expect.objectContaining({ type: 'object', additionalProperties: {} }))
  })

  test('names every error with its status', () => {
    const text = operations[0]?.operation.responses['default']?.description ?? ''
    for (const [code, { status }] of Object.entries(ERRORS)) expect(text).toContain(`${code} (${status})`)
  })
})

describe('the schemas of the answers', () => {
  test('take what the server gives', () => {
    const answer = {
      id: '0190b6f1-0000-7000-8000-000000000000',
      seq: 1,
      sender_id: 'ann',
      receiver_id: 'bob',
      content: 'hi',
      created_at: '2026-01-02T03:04:05.678Z',
      duplicate: false,
    }
    expect(sendAnswer.parse(answer)).toEqual(answer)
    const online = { online_users: ['ann'], count: 1, next_cursor: null }
    expect(onlineUsersAnswer.parse(online)).toEqual(online)
  })
})

describe('the codes', () => {
  test('of closes are ones that an application may use, each once', () => {
    const codes = Object.values(CLOSES).map(({ code }) => code)
    expect(new Set(codes).size).toBe(codes.length)
    for (const code of codes) expect(code === 1003 || (code >= 1007 && code <= 1013) || code >= 4000).toBe(true)
    for (const { reason } of Object.values(CLOSES)) expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123)
  })

  test('of closes are those of the contract', () => {
    expect(Object.fromEntries(Object.entries(CLOSES).map(([name, { code }]) => [name, code]))).toMatchObject({
      wrong_frame_kind: 1003,
      undecodable: 1007,
      too_large: 1009,
      internal: 1011,
      restart: 1012,
      replaced: 4409,
      slow_consumer: 4413,
    })
  })

  test('tell a client to come back after 4400 … 4499, except where that cannot help', () => {
    const final = Object.values(CLOSES).filter(({ code, reconnect }) => code >= 4400 && !reconnect)
    expect(final.map(({ code }) => code)).toEqual([4403, 4409])
  })

  test('of errors that pass by themselves are 429, 500 or 503, and no others are', () => {
    for (const { status, temporary } of Object.values(ERRORS)) {
      expect(temporary).toBe(status === 429 || status >= 500)
    }
  })
})
