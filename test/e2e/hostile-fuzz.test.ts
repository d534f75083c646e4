// Structure-aware fuzzing: every command in both encodings and every field of REST, valid, at its bounds, with one field
// wrong, missing, of another type or too many. The seed is fixed; a failure prints the input, shrunk.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import * as rest from '../../src/gateway/wire/rest.ts'
import { ERRORS } from '../../src/protocol/codes.ts'
import type { Command } from '../../src/protocol/commands.ts'
import * as limits from '../../src/protocol/limits.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { OpenApi } from '../support/openapi.ts'
import { cpuMs } from '../support/process-cpu.ts'
import { call } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { type Frame, JSON_PROTOCOL, MSGPACK_PROTOCOL, SocketClient } from '../support/socket-client.ts'

const SEED = 20_261_122
const RUNS_PER_COMMAND = 75
const RUNS_PER_OPERATION = 120
/** More CPU time of the service than this for one input is counted and shown; time on the clock would count the machine's other work. */
const SLOW_MS = 50

const services = useServices()
const slow: string[] = []
let inputs = 0
let database: TestDatabase
let service: ServiceProcess

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({ POSTGRES_DSN: database.dsn })
})
afterAll(async () => {
  const shown = slow.slice(0, 5).join(', ')
  process.stdout.write(`fuzzed ${inputs} inputs, seed ${SEED}; ${slow.length} took over ${SLOW_MS} ms ${shown}\n`)
  expect(service.logs.filter(({ level }) => level !== 'info').slice(0, 3)).toEqual([])
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  await database.drop()
})

/** Runs an input and notes how long it kept the service busy. */
async function timed<T>(label: string, run: () => Promise<T>): Promise<T> {
  inputs += 1
  const beforeMs = cpuMs(service.pid)
  const result = await run()
  const usedMs = cpuMs(service.pid) - beforeMs
  if (usedMs > SLOW_MS) slow.push(`${label.slice(0, 60)}: ${usedMs} ms`)
  return result
}

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>

const userIds = fc.constantFrom('ann', 'bob', 'a.b_c@d+e-f', 'Z', '0', 'x'.repeat(128))
const uuids = fc.oneof(
  fc.uuid(),
  fc.constantFrom('0190B6F1-0000-7000-8000-00000000ABCD', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
)
const texts = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  fc.constantFrom('x'.repeat(16_384), 'x'.repeat(16_385), '€'.repeat(5461), '\0', '\ud800', '\\.', '\\N', '\u2028', ''),
)
const whole = (min: number, max: number): fc.Arbitrary<unknown> =>
  fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max, min - 1, max + 1))
const seqs = fc.oneof(whole(1, 50), fc.constantFrom(2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER))
const times = fc.oneof(
  fc
    .date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') })
    .map((date) => date.toISOString()),
  fc.constantFrom(
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999999999+23:59',
    '0000-01-01T00:00:00+23:59',
    '2026-11-22T00:00Z',
    '2024-02-30T00:00:00Z',
    '2026-11-22T24:00:00Z',
  ),
)
const refs = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer())
const cursors = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.base64String(),
  fc.constantFrom('x'.repeat(600), encoded('9'.repeat(15), '9'.repeat(15)), encoded('0', '0')),
)

/** Numbers that a column of PostgreSQL may not hold, in the shape of a cursor of ours. */
function encoded(...numbers: readonly string[]): string {
  return Buffer.from(numbers.join('.')).toString('base64url')
}

/** Every command's fields; a new command or a removed one fails to compile. `?` marks what may be left out. */
const COMMANDS: Readonly<Record<Command['type'], Fields>> = {
  send: { receiver_id: userIds, content: texts, 'id?': uuids },
  ack: { with: userIds, seq: seqs },
  read: { with: userIds, seq: seqs },
  typing: { receiver_id: userIds, 'active?': fc.boolean() },
  history: { with: userIds, 'before?': seqs, 'after?': seqs, 'limit?': whole(1, limits.MAX_HISTORY_LIMIT) },
  conversations: { 'limit?': whole(1, limits.MAX_LIST_LIMIT), 'cursor?': cursors },
  sync: { 'heads?': fc.array(fc.tuple(userIds, seqs), { maxLength: 20 }), 'since?': times },
  watch: { user_ids: fc.oneof(fc.array(userIds), fc.constant(Array.from({ length: 501 }, (_, index) => `u${index}`))) },
  unwatch: { user_ids: fc.array(userIds) },
  auth: { token: fc.string() },
  state: { active: fc.boolean() },
  ping: {},
}
/** Answered by exactly one reply, whatever it is; the others answer only what is wrong. */
const ANSWERED: readonly string[] = ['send', 'history', 'conversations', 'sync', 'auth', 'ping']

const deep = (levels: number): unknown => (levels === 0 ? 0 : [deep(levels - 1)])
/** What is put in place of a field, or of the whole input. */
const HOSTILE = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    ...[null, true, 0, -1, 1.5, 1e308, -0, 2 ** 53, -(2 ** 63), '', ' ', '0', 'null', [], {}, [[]]],
    ...[
      '__proto__',
      'constructor',
      '\0',
      '\ud800',
      '-1',
      '1e3',
      '0x1',
      'ann\n',
      'ann ',
      '../ann',
      `'; drop table messages; --`,
    ],
    ...[
      'x'.repeat(129),
      'x'.repeat(5000),
      '٣',
      'ａｎｎ',
      deep(10),
      { $gt: '' },
      { toString: 1 },
      { length: 5 },
      { type: 'send' },
    ],
  ),
)
const EXTRA = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.constantFrom('sender_id', 'seq', 'created_at', '__proto__', 'constructor', 'toString', 'type ', 'Type', ''),
)

type Input = Readonly<Record<string, unknown>>
type Mutation = 'none' | 'wrong' | 'missing' | 'extra' | 'replaced'

/** An object of these fields with at most one thing wrong with it. */
function inputOf(fields: Fields): fc.Arbitrary<{ readonly value: unknown; readonly mutation: Mutation }> {
  const names = Object.keys(fields).map((name) => name.replace('?', ''))
  const required = Object.keys(fields).filter((name) => !name.endsWith('?'))
  const shape = Object.fromEntries(Object.entries(fields).map(([name, one]) => [name.replace('?', ''), one]))
  const valid = fc.record(shape, { requiredKeys: required, noNullPrototype: true }) as fc.Arbitrary<Input>
  const mutation = fc.constantFrom<Mutation>('none', 'none', 'wrong', 'wrong', 'wrong', 'missing', 'extra', 'replaced')
  const chosen = names.length === 0 ? fc.constant('') : fc.constantFrom(...names)
  return fc.tuple(valid, mutation, chosen, HOSTILE, EXTRA).map(([input, kind, name, hostile, extra]) => ({
    value: mutated(input, kind, { name, hostile, extra }),
    mutation: kind,
  }))
}

function mutated(input: Input, kind: Mutation, by: { name: string; hostile: unknown; extra: string }): unknown {
  if (kind === 'replaced') return by.hostile
  const copy: Record<string, unknown> = { ...input }
  const set = (name: string): unknown =>
    Object.defineProperty(copy, name, { value: by.hostile, enumerable: true, configurable: true, writable: true })
  if (kind === 'wrong' && by.name !== '') set(by.name)
  if (kind === 'missing') delete copy[by.name]
  if (kind === 'extra') set(by.extra)
  return copy
}

const time = z.iso.datetime()
const ref = z.union([z.string(), z.number()]).optional()
const code = z.enum(Object.keys(ERRORS))
/** Everything that a server may say; strict, so that nothing slips in beside it. */
const EVENT = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('welcome'),
    user_id: z.string(),
    connection_id: z.guid(),
    server_time: time,
    epoch: z.string(),
    protocol: z.literal(1),
    max_content_bytes: z.int(),
    heartbeat_seconds: z.int(),
  }),
  z.strictObject({
    type: z.literal('sent'),
    ref,
    id: z.guid(),
    seq: z.int().min(1),
    with: z.string(),
    created_at: time,
    duplicate: z.boolean(),
  }),
  z.strictObject({ type: z.literal('message'), ...rest.message.shape }),
  z.strictObject({ type: z.literal('synced'), server_time: time, epoch: z.string() }),
  z.strictObject({
    type: z.literal('receipt'),
    with: z.string(),
    delivered_seq: z.int(),
    read_seq: z.int(),
    user_id: z.string().optional(),
  }),
  z.strictObject({ type: z.literal('typing'), sender_id: z.string(), active: z.boolean() }),
  z.strictObject({
    type: z.literal('presence'),
    user_id: z.string(),
    status: z.enum(['online', 'offline', 'unknown']),
    last_seen: time.optional(),
  }),
  z.strictObject({ type: z.literal('history'), ref, with: z.string(), ...rest.messagesAnswer.shape }),
  z.strictObject({ type: z.literal('conversations'), ref, ...rest.conversationsAnswer.shape }),
  z.strictObject({
    type: z.literal('sync'),
    ref,
    changed: z.array(
      z.strictObject({
        with: z.string(),
        last_seq: z.int(),
        delivered_seq: z.int(),
        read_seq: z.int(),
        peer_delivered_seq: z.int(),
        peer_read_seq: z.int(),
      }),
    ),
    server_time: time,
    epoch: z.string(),
  }),
  z.strictObject({
    type: z.literal('error'),
    ref,
    code,
    message: z.string().min(1).max(2000),
    field: z.string().optional(),
    retry_after_ms: z.int().min(1).optional(),
    id: z.guid().optional(),
  }),
  z.strictObject({ type: z.literal('pong'), ref }),
])

/** A connection that is replaced when the service has closed it, and the answers to what was asked over it. */
class Fuzzed {
  readonly #protocol: string
  #client: SocketClient | undefined

  constructor(protocol: string) {
    this.#protocol = protocol
  }

  /** Everything said from the input on until a ping behind it is answered; the code of the close if it came to one. */
  async outcome(input: unknown): Promise<{ readonly frames: readonly Frame[]; readonly closed: number | undefined }> {
    this.#client ??= await SocketClient.connect(service, 'fuzzer', { protocol: this.#protocol })
    const client = this.#client
    const from = client.frames.length
    client.send(input as object)
    const closed = await Promise.race([client.ask({ type: 'ping' }).then(() => undefined), client.closed]).catch(
      () => client.closed,
    )
    if (closed) this.#client = undefined
    return { frames: client.frames.slice(from), closed: closed?.code }
  }

  /** Answers may come after a later ping's; this waits for one in particular. */
  next(ref: string): Promise<Frame> {
    if (!this.#client) throw new Error('closed')
    return this.#client.next((frame) => frame.ref === ref)
  }

  async close(): Promise<readonly Frame[]> {
    const client = this.#client
    await client?.ask({ type: 'history', with: 'ann' })
    await client?.close()
    return client?.frames ?? []
  }
}

describe.each([JSON_PROTOCOL, MSGPACK_PROTOCOL])('%s', (protocol) => {
  test.each(Object.keys(COMMANDS) as Command['type'][])(
    '%s, however it comes, is answered as documented',
    async (type) => {
      const fuzzed = new Fuzzed(protocol)
      let count = 0
      const property = fc.asyncProperty(
        inputOf(COMMANDS[type]),
        fc.boolean(),
        refs,
        async ({ value, mutation }, ownRef, anyRef) => {
          count += 1
          const myRef = `case-${count}`
          const isCommand = mutation !== 'replaced'
          const input = isCommand ? { type, ref: ownRef ? myRef : anyRef, ...(value as object) } : value
          const { frames, closed } = await timed(`${protocol} ${type}`, () => fuzzed.outcome(input))
          for (const frame of frames) expectDocumented(frame)
          // JSON can say nothing that is no JSON. MessagePack can: what the codec takes for no frame closes with 1007.
          if (closed !== undefined) expect([protocol, closed]).toEqual([MSGPACK_PROTOCOL, 1007])
          const isAsked = isCommand && (input as Input).ref === myRef && ANSWERED.includes(type)
          if (isAsked && closed === undefined) expect(await fuzzed.next(myRef)).toMatchObject({ ref: myRef })
        },
      )
      await fc.assert(property, { seed: SEED, numRuns: RUNS_PER_COMMAND })
      for (const frame of await fuzzed.close()) expectDocumented(frame)
    },
  )
})

function expectDocumented(frame: Frame): void {
  const { error } = EVENT.safeParse(frame)
  if (error) throw new Error(`${JSON.stringify(frame).slice(0, 500)} is not documented: ${z.prettifyError(error)}`)
  if (frame.type !== 'error') return
  // Nothing was slow or broken, so nobody else can be at fault than the input.
  const status = ERRORS[frame.code as keyof typeof ERRORS].status
  if (status >= 500) throw new Error(`${JSON.stringify(frame)} is no fault of the client's`)
}

const digits = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> => values.map(String)
const OPERATIONS: readonly {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly query: Fields
  readonly body?: Fields
}[] = [
  {
    method: 'POST',
    path: '/api/send_message',
    query: { 'user_id?': userIds },
    body: { receiver_id: userIds, content: texts, 'sender_id?': userIds, 'id?': uuids },
  },
  {
    method: 'GET',
    path: '/api/messages',
    query: {
      'user_id?': userIds,
      with: userIds,
      'limit?': digits(whole(1, limits.MAX_HISTORY_LIMIT)),
      'before?': digits(seqs),
      'after?': digits(seqs),
    },
  },
  {
    method: 'GET',
    path: '/api/conversations',
    query: { 'user_id?': userIds, 'limit?': digits(whole(1, limits.MAX_LIST_LIMIT)), 'cursor?': cursors },
  },
  {
    method: 'GET',
    path: '/api/online_users',
    query: { 'user_id?': userIds, 'limit?': digits(whole(1, limits.MAX_LIST_LIMIT)), 'cursor?': cursors },
  },
]

/** A header's value as far as an HTTP client sends it. */
const headerValues = fc.oneof(
  userIds,
  uuids,
  fc.string({ unit: 'grapheme-ascii', maxLength: 200 }),
  fc.constantFrom('', ',', 'a, b'),
)
const HEADERS = fc.record({ 'X-User-Id': headerValues, 'Idempotency-Key': headerValues }, { requiredKeys: [] })

describe('REST', () => {
  test.each(OPERATIONS)('$method $path, whatever its fields, is answered as its document says', async (operation) => {
    const { method, path, query, body = {} } = operation
    const openApi = await OpenApi.of(service)
    const statuses = new Map<number, number>()
    const input = fc.tuple(inputOf(query), inputOf(body), HEADERS, fc.constantFrom('query', 'body', 'headers', 'all'))
    const property = fc.asyncProperty(input, async ([search, content, headers, part]) => {
      const isPart = (name: string): boolean => part === 'all' || part === name
      const url = `${path}?${searchOf(isPart('query') || method === 'GET' ? search.value : {})}`
      const sent = method === 'POST' ? { body: content.value ?? 'null' } : {}
      const answer = await timed(url, () =>
        call(service, method, url, {
          ...sent,
          ...(isPart('headers') && { headers: headers as Record<string, string> }),
        }),
      )
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.status >= 500) throw new Error(`${answer.status} ${answer.text}`)
      openApi.check(method, url, answer)
    })
    await fc.assert(property, { seed: SEED, numRuns: RUNS_PER_OPERATION })
    // A fuzzer whose inputs are all refused, or all taken, would prove little.
    expect([...statuses.keys()].sort()).toEqual(expect.arrayContaining([method === 'POST' ? 201 : 200, 400]))
  })
})

/** A query string of the fields of a value; what is no object becomes a name. */
function searchOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return new URLSearchParams(String(value)).toString()
  const entries = Object.entries(value).map(([name, one]) => [
    name,
    typeof one === 'string' ? one : JSON.stringify(one),
  ])
  return new URLSearchParams(entries as [string, string][]).toString()
}
