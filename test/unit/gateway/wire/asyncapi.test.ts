import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { pack } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { COMMAND_TYPES } from '../../../../src/gateway/command-table.ts'
import { asyncApiDocument } from '../../../../src/gateway/wire/asyncapi.ts'
import { CODECS, type Codec } from '../../../../src/gateway/wire/codec.ts'
import { commandIn } from '../../../../src/gateway/wire/commands.ts'
import { EVENT_SCHEMAS } from '../../../../src/gateway/wire/events.ts'
import { CLOSES } from '../../../../src/protocol/codes.ts'
import type { ServerEvent } from '../../../../src/protocol/events.ts'

interface Described {
  readonly payload: object
  readonly examples: readonly { readonly payload: Record<string, unknown> }[]
}
const document = JSON.parse(JSON.stringify(asyncApiDocument())) as {
  channels: { ws: { description: string; messages: Record<string, { $ref: string }> } }
  operations: Record<string, { action: string; reply?: { messages: { $ref: string }[] } }>
  components: { messages: Record<string, Described> }
}
const { messages } = document.components
const read = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8')
const ajv = new Ajv({ strict: false, validateFormats: false })

/** Names in the first cells of one table of the contract. */
function contractNames(table: 'client → server' | 'server → client'): string[] {
  const rows = new RegExp(`^\\| ${table} \\|(?:.*\\n)+?\\n`, 'm').exec(read('src/protocol/README.md'))?.[0] ?? ''
  const cells = [...rows.matchAll(/^\| (`.*?) \| /gm)].map(([, cell = '']) => cell)
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)/g)].map(([, name = '']) => name))
}

const ofKind = (kind: 'command' | 'event') =>
  Object.entries(messages)
    .filter(([key]) => key.startsWith(`${kind}.`))
    .map(([key, { payload, examples }]) => ({ key, payload, examples: examples.map((one) => one.payload) }))

describe('the AsyncAPI document', () => {
  test('is valid by the official schema of AsyncAPI 3.0', () => {
    // It brings the schema of schemas along, under the name that Ajv has its own by.
    const official = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false })
    const validate = official.compile(JSON.parse(read('node_modules/@asyncapi/specs/schemas/3.0.0.json')))
    validate(document)
    expect(validate.errors ?? []).toEqual([])
    expect(validate({ ...document, channels: { ws: { address: 1 } } })).toBe(false)
  })

  test('has every command and every event of the contract, and no other', () => {
    const names = (kind: 'command' | 'event') => ofKind(kind).map(({ key }) => key.slice(kind.length + 1))
    expect(names('command').sort()).toEqual([...COMMAND_TYPES].sort())
    expect(names('command').sort()).toEqual(contractNames('client → server').sort())
    // Replies of the same name as their command stand in the contract's table of commands.
    expect(names('event').sort()).toEqual(
      [...contractNames('server → client'), 'history', 'conversations', 'sync'].sort(),
    )
  })

  test('leads from every operation to messages that it has', () => {
    const { channels, operations } = document
    expect(Object.keys(channels.ws.messages).sort()).toEqual(Object.keys(messages).sort())
    for (const [key, { action, reply }] of Object.entries(operations)) {
      expect(messages).toHaveProperty([key])
      expect(action).toBe(key.startsWith('command.') ? 'receive' : 'send')
      for (const { $ref } of reply?.messages ?? [])
        expect(messages).toHaveProperty([$ref.slice('#/channels/ws/messages/'.length)])
    }
    // What is no reply comes unasked.
    const told = Object.entries(operations).flatMap(([key, { reply }]) => [
      key,
      ...(reply?.messages ?? []).map(({ $ref }) => $ref.slice('#/channels/ws/messages/'.length)),
    ])
    expect([...new Set(told)].sort()).toEqual(Object.keys(messages).sort())
  })

  test('names every code of a close', () => {
    for (const { code, reason } of Object.values(CLOSES))
      expect(document.channels.ws.description).toContain(`${code} (${reason})`)
  })

  test.each(ofKind('command'))('$key has an example that both codecs and the schema take', ({ payload, examples }) => {
    expect(examples).toHaveLength(1)
    for (const example of examples) {
      const encoded: [Codec, Uint8Array][] = [
        [CODECS.json, Buffer.from(JSON.stringify(example))],
        [CODECS.msgpack, pack(example)],
      ]
      for (const [codec, bytes] of encoded) {
        const decoded = codec.decode(bytes) ?? { value: undefined }
        expect(commandIn(decoded, { maxContentBytes: 100, implicitSend: false })).toEqual({
          ok: true,
          command: example,
        })
      }
      expect(ajv.validate(payload, example)).toBe(true)
      expect(ajv.validate(payload, { ...example, unknown: 1 })).toBe(false)
    }
  })

  test.each(ofKind('event'))('$key has an example that both codecs and the schema carry', ({ payload, examples }) => {
    expect(examples).toHaveLength(1)
    for (const example of examples) {
      const event = example as unknown as ServerEvent
      for (const codec of [CODECS.json, CODECS.msgpack]) {
        const frame = codec.encode(event)
        expect(codec.decode(Buffer.from(frame, codec.binary ? 'latin1' : 'utf8'))?.value).toEqual(example)
      }
      expect(EVENT_SCHEMAS[event.type].strict().parse(example)).toEqual(example)
      expect(ajv.validate(payload, example)).toBe(true)
      // A later version may add fields.
      expect(ajv.validate(payload, { ...example, later: 1 })).toBe(true)
    }
  })
})
