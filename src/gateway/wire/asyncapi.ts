import * as z from 'zod'
import { CLOSES } from '../../protocol/codes.ts'
import type { Command } from '../../protocol/commands.ts'
import { SUBPROTOCOLS } from '../../protocol/encoding.ts'
import type { ServerEvent } from '../../protocol/events.ts'
import { COMMAND_SCHEMAS } from './commands.ts'
import { EVENT_SCHEMAS } from './events.ts'
import { COMMAND_NOTES, EVENT_NOTES } from './frame-notes.ts'
import { tokenSocketQuery } from './rest.ts'

type Json = Readonly<Record<string, unknown>>

const commandTypes = Object.keys(COMMAND_SCHEMAS) as Command['type'][]
const eventTypes = Object.keys(EVENT_SCHEMAS) as ServerEvent['type'][]

const SOCKET = { $ref: '#/channels/ws' }

/** A command and an event may have one name, as `history` has. */
const commandKey = (type: Command['type']): string => `command.${type}`
const eventKey = (type: ServerEvent['type']): string => `event.${type}`

/** AsyncAPI 3.0 of /ws (https://www.asyncapi.com/docs/reference/specification/v3.0.0), from the service's point of view. */
export function asyncApiDocument(): Json {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Messaging server',
      version: '1',
      description: 'Real-time 1:1 messaging: commands and events of the WebSocket at /ws. The REST API: /openapi.json.',
    },
    defaultContentType: 'application/json',
    channels: {
      ws: {
        address: '/ws',
        description: `Subprotocols: ${Object.entries(SUBPROTOCOLS)
          .map(([name, encoding]) => `${name} (${encoding})`)
          .join(', ')}; both carry the same fields. ${closeCodes()}`,
        messages: Object.fromEntries(
          [...commandTypes.map(commandKey), ...eventTypes.map(eventKey)].map((key) => [
            key,
            { $ref: `#/components/messages/${key}` },
          ]),
        ),
        bindings: { ws: { method: 'GET', query: schemaOf(tokenSocketQuery) } },
      },
    },
    operations: Object.fromEntries([...commandTypes.map(receiving), ...eventTypes.filter(isPush).map(sending)]),
    components: {
      messages: Object.fromEntries([
        ...commandTypes.map((type) => [commandKey(type), messageOf(type, COMMAND_SCHEMAS[type], COMMAND_NOTES[type])]),
        ...eventTypes.map((type) => [eventKey(type), messageOf(type, EVENT_SCHEMAS[type], EVENT_NOTES[type])]),
      ]),
    },
  }
}

function isPush(type: ServerEvent['type']): boolean {
  return EVENT_NOTES[type].isPush
}

/** The service receives a command and may reply. */
function receiving(type: Command['type']): [string, Json] {
  const { summary, replies } = COMMAND_NOTES[type]
  const messages = [...replies, 'error' as const].map((reply) => onSocket(eventKey(reply)))
  const operation = { action: 'receive', summary, channel: SOCKET, messages: [onSocket(commandKey(type))] }
  return [commandKey(type), { ...operation, reply: { channel: SOCKET, messages } }]
}

function sending(type: ServerEvent['type']): [string, Json] {
  const { summary } = EVENT_NOTES[type]
  return [eventKey(type), { action: 'send', summary, channel: SOCKET, messages: [onSocket(eventKey(type))] }]
}

function onSocket(key: string): Json {
  return { $ref: `#/channels/ws/messages/${key}` }
}

function messageOf(name: string, schema: z.ZodType, { summary, example }: { summary: string; example: object }): Json {
  return { name, title: name, summary, payload: schemaOf(schema), examples: [{ payload: example }] }
}

/** AsyncAPI's own schemas are JSON Schema draft 07. As input: a command refuses other fields, an event may get more later. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _, ...described } = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
  })
  return described
}

function closeCodes(): string {
  return `Closes: ${Object.values(CLOSES)
    .map(({ code, reason }) => `${code} (${reason})`)
    .join(', ')}.`
}
