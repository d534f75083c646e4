// Far more sends than a small service can store. Whatever is offered gets a definite outcome soon, what is acked is stored,
// what waits is bounded, and when the storm is over nothing of it is left.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { type Frame, SocketClient } from '../support/socket-client.ts'
import { openTransaction, rowsOf } from '../support/transactions.ts'

const services = useServices()
const patientServices = useServices('patient')
const QUEUE_ROWS = 200
const SENDERS = 10
/** Less than a connection may have in flight, so that no refusal is about that. */
const SENDS_EACH = 250
let database: TestDatabase
/** As people run it, and one in which nothing is refused for its age. */
let usual: ServiceProcess
let patient: ServiceProcess
let service: ServiceProcess
let senders: SocketClient[]
let round = 0

beforeAll(async () => {
  database = await createDatabase()
  const small = { WRITER_MAX_QUEUE_ROWS: String(QUEUE_ROWS), WRITER_MAX_BATCH_ROWS: '20' }
  const env = { POSTGRES_DSN: database.dsn, ...small }
  ;[usual, patient] = await Promise.all([services.start(env), patientServices.start(env)])
})
afterAll(async () => {
  for (const one of [usual, patient]) {
    expect(one.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
    expect(await one.stop()).toEqual({ code: 0, signal: null })
  }
  await database.drop()
})

async function sendTo(one: ServiceProcess): Promise<void> {
  service = one
  round += 1
  const names = Array.from({ length: SENDERS }, (_, index) => `sender-${round}-${index}`)
  senders = await Promise.all(names.map((name) => SocketClient.connect(service, name)))
}

interface Outcome {
  readonly id: string
  readonly reply: Frame
}

/** Everybody sends everything at once; resolves with one outcome for each, or fails when one of them never comes. */
function storm(): Promise<Outcome[]> {
  const sends = senders.flatMap((sender, index) =>
    Array.from({ length: SENDS_EACH }, async (): Promise<Outcome> => {
      const id = crypto.randomUUID()
      sender.send({ type: 'send', receiver_id: `receiver-${index}`, content: 'storm', id, ref: id })
      return { id, reply: await sender.next((frame) => frame.ref === id) }
    }),
  )
  return Promise.all(sends)
}

const idsOf = (outcomes: readonly Outcome[], type: string): string[] =>
  outcomes.filter(({ reply }) => reply.type === type).map(({ id }) => id)

async function storedIds(): Promise<Set<unknown>> {
  return new Set((await rowsOf(database.dsn, 'select id from messages')).map(({ id }) => id))
}

async function metric(name: string): Promise<number> {
  const { text } = await get(service, '/metrics')
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  )
}

/** What every storm must leave behind. */
async function expectHonest(outcomes: readonly Outcome[]): Promise<void> {
  const stored = await storedIds()
  const [acked, refused] = [idsOf(outcomes, 'sent'), idsOf(outcomes, 'error')]
  expect(acked.length + refused.length).toBe(SENDERS * SENDS_EACH)
  expect(acked.filter((id) => !stored.has(id))).toEqual([])
  // "Nothing was stored", says the refusal.
  expect(refused.filter((id) => stored.has(id))).toEqual([])
  for (const { reply } of outcomes.filter(({ reply }) => reply.type === 'error')) {
    expect(reply).toMatchObject({ code: expect.stringMatching(/^(overloaded|unavailable)$/), id: reply.ref })
    expect(reply.retry_after_ms).toBeGreaterThan(0)
  }
}

async function expectNormal(): Promise<void> {
  const next = await Promise.all(
    senders.map((sender) => sender.ask({ type: 'send', receiver_id: 'x', content: 'after' })),
  )
  expect(next.map(({ type }) => type)).toEqual(senders.map(() => 'sent'))
  expect((await post(service, { receiver_id: 'x', content: 'after' })).status).toBe(201)
  expect(await metric('messaging_queue_rows')).toBe(0)
  expect((await get(service, '/readyz')).status).toBe(200)
  await Promise.all(senders.map((sender) => sender.close()))
}

test('storm after storm: each send is stored or refused, many are stored, and the next is stored at once', async () => {
  await sendTo(usual)
  const before = await metric('process_resident_memory_bytes')
  for (let turn = 0; turn < 4; turn += 1) {
    let isOver = false
    const running = storm().finally(() => {
      isOver = true
    })
    const depths: number[] = []
    while (!isOver) depths.push(await metric('messaging_queue_rows'))
    const outcomes = await running
    await expectHonest(outcomes)
    // As much as fits the queue is stored, however much more is offered.
    expect(idsOf(outcomes, 'sent').length).toBeGreaterThanOrEqual(QUEUE_ROWS)
    expect(Math.max(...depths)).toBeLessThanOrEqual(QUEUE_ROWS)
  }
  expect((await metric('process_resident_memory_bytes')) - before).toBeLessThan(150e6)
  await expectNormal()
})

test('a storm while nothing can be stored: the queue is kept, the rest is refused at once, and all of the queue is stored', async () => {
  await sendTo(patient)
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const outcomes = storm()
  const rest = { receiver_id: 'x', content: 'over REST' }
  // Behind all sends of its own connection: what is refused is refused while the others still wait.
  await Promise.all(senders.map((sender) => sender.settled()))
  const refusedMeanwhile = senders.flatMap(({ frames }) => frames).filter(({ code }) => code === 'overloaded').length
  expect(await metric('messaging_queue_rows')).toBe(QUEUE_ROWS)
  const answer = await post(service, rest)
  expect([answer.status, answer.body, answer.headers.get('retry-after')]).toMatchObject([
    503,
    { error: { code: 'overloaded' } },
    '1',
  ])
  await transaction.end()
  const settled = await outcomes
  await expectHonest(settled)
  // One batch was being stored and the queue was full behind it.
  expect(idsOf(settled, 'sent').length).toBe(SENDERS * SENDS_EACH - refusedMeanwhile)
  expect(idsOf(settled, 'sent').length).toBeGreaterThan(QUEUE_ROWS)
  await expectNormal()
})

test('a storm that nothing ends: what waited too long is refused too, and nothing is stored later', async () => {
  await sendTo(usual)
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const outcomes = await storm()
  expect(idsOf(outcomes, 'sent')).toEqual([])
  await transaction.end()
  await expectNormal()
  await expectHonest(outcomes)
})
