import * as z from 'zod'
import { ERRORS } from '../../protocol/codes.ts'
import type { Operation } from './operation.ts'
import { OPERATIONS } from './operations.ts'
import * as rest from './rest.ts'

type Json = Readonly<Record<string, unknown>>

/** OpenAPI 3.1 of the REST API, made from the schemas that the server validates by. */
export function openApiDocument(): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Messaging server',
      version: '1',
      description: 'Real-time 1:1 messaging. Everything that changes while you wait comes over the WebSocket at /ws.',
    },
    paths: pathsOf(OPERATIONS),
  }
}

function pathsOf(operations: readonly Operation[]): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describeOperation(operation) }
  }
  return paths
}

function describeOperation({ summary, access, params, query, headers, body, bytes, answers }: Operation): Json {
  const parameters = [
    ...parametersOf('path', params),
    ...parametersOf('query', query),
    ...parametersOf('header', headers),
  ]
  return {
    summary,
    ...(access && { description: `Unless AUTH=none: ${access}.` }),
    ...(parameters.length > 0 && { parameters }),
    ...(bytes && { requestBody: { required: true, content: Object.fromEntries(bytes.map((type) => [type, {}])) } }),
    ...(body && { requestBody: { required: true, content: contentOf(body, 'input') } }),
    responses: { ...answersOf(answers), default: { description: errorNames(), content: contentOf(rest.errorAnswer) } },
  }
}

function parametersOf(place: 'path' | 'query' | 'header', parameters: z.ZodObject | undefined): Json[] {
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
