import * as z from 'zod'
import { ERRORS } from './codes.ts'
import * as rest from './rest.ts'

type Json = Readonly<Record<string, unknown>>

interface Operation {
  readonly path: string
  readonly method: 'get' | 'post'
  readonly summary: string
  readonly query?: z.ZodObject
  readonly headers?: z.ZodObject
  readonly body?: z.ZodObject
  readonly answers: Readonly<Record<number, { readonly description: string; readonly schema?: z.ZodType }>>
}

const state = z.object({ status: z.string(), reasons: z.array(z.string()).optional() })

const OPERATIONS: readonly Operation[] = [
  {
    path: '/api/send_message',
    method: 'post',
    summary: 'Store a message and deliver it. Answered only after the commit.',
    query: rest.senderQuery,
    headers: rest.sendHeaders,
    body: rest.sendBody,
    answers: {
      201: { description: 'Stored.', schema: rest.sendAnswer },
      200: { description: 'It was stored before; the first outcome.', schema: rest.sendAnswer },
    },
  },
  {
    path: '/api/messages',
    method: 'get',
    summary: 'A page of one conversation, in ascending order of seq.',
    query: rest.messagesQuery,
    headers: rest.askerHeaders,
    answers: { 200: { description: 'The page.', schema: rest.messagesAnswer } },
  },
  {
    path: '/api/conversations',
    method: 'get',
    summary: 'Conversations of a user, newest first.',
    query: rest.conversationsQuery,
    headers: rest.askerHeaders,
    answers: { 200: { description: 'The page.', schema: rest.conversationsAnswer } },
  },
  {
    path: '/api/online_users',
    method: 'get',
    summary: 'Who is connected, sorted by user id.',
    query: rest.onlineUsersQuery,
    answers: { 200: { description: 'The page.', schema: rest.onlineUsersAnswer } },
  },
  {
    path: '/healthz',
    method: 'get',
    summary: 'The process is alive.',
    answers: { 200: { description: 'Alive.', schema: state } },
  },
  {
    path: '/readyz',
    method: 'get',
    summary: 'The service can store.',
    answers: { 200: { description: 'Ready.', schema: state }, 503: { description: 'Not ready.', schema: state } },
  },
  {
    path: '/metrics',
    method: 'get',
    summary: 'Prometheus metrics, as text.',
    answers: { 200: { description: 'Metrics.' } },
  },
  {
    path: '/openapi.json',
    method: 'get',
    summary: 'This document.',
    answers: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({}) } },
  },
  {
    path: '/ws',
    method: 'get',
    summary: 'WebSocket upgrade; `user_id` says who connects.',
    query: z.strictObject({ user_id: rest.message.shape.sender_id }),
    answers: { 101: { description: 'Switching protocols.' } },
  },
]

/** OpenAPI 3.1 of the REST API, made from the schemas that the server validates by. */
export const openApiDocument: Json = {
  openapi: '3.1.0',
  info: {
    title: 'Messaging server',
    version: '1',
    description: 'Real-time 1:1 messaging. Everything that changes while you wait comes over the WebSocket at /ws.',
  },
  paths: pathsOf(OPERATIONS),
}

function pathsOf(operations: readonly Operation[]): Json {
  const entries = operations.map((operation) => [operation.path, { [operation.method]: describeOperation(operation) }])
  return Object.fromEntries(entries)
}

function describeOperation({ summary, query, headers, body, answers }: Operation): Json {
  const parameters = [...parametersOf('query', query), ...parametersOf('header', headers)]
  return {
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: contentOf(body, 'input') } }),
    responses: { ...answersOf(answers), default: { description: errorNames(), content: contentOf(rest.errorAnswer) } },
  }
}

function parametersOf(place: 'query' | 'header', parameters: z.ZodObject | undefined): Json[] {
  return Object.entries(parameters?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: place,
    required: !z.safeParse(schema, undefined).success,
    schema: z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }),
  }))
}

function answersOf(answers: Operation['answers']): Json {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema }]) => [
      status,
      { description, ...(schema && { content: contentOf(schema) }) },
    ]),
  )
}

function contentOf(schema: z.ZodType, io: 'input' | 'output' = 'output'): Json {
  return { 'application/json': { schema: z.toJSONSchema(schema, { io, unrepresentable: 'any' }) } }
}

function errorNames(): string {
  return `An error: ${Object.entries(ERRORS)
    .map(([code, { status }]) => `${code} (${status})`)
    .join(', ')}.`
}
