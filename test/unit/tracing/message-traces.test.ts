import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import type { QueuedSend } from '../../../src/messages/send-queue.ts'
import { CommitError, type MessageLog } from '../../../src/messages/store.ts'
import { MessageTraces } from '../../../src/tracing/message-traces.ts'
import { isAmong, rootOf, TraceIds } from '../../../src/tracing/trace-ids.ts'
import { CommitAttempts, TracedLog } from '../../../src/tracing/traced-log.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const ID = '0191e5a8-7c1e-4f0a-9d5e-3b2c1a098765'
const conversation = conversationBetween('ann', 'bob')

/** Traces over a log that does what the next of these outcomes says; `connections`: how many bob has. */
function bench({ outcomes = ['stored'], isSampled = true, connections = 1 } = {}) {
  const clock = new FakeClock()
  const exporter = new InMemorySpanExporter()
  const ids = new TraceIds()
  const provider = new BasicTracerProvider({ idGenerator: ids, spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const attempts = new CommitAttempts()
  const left = [...outcomes]
  const inner: MessageLog = {
    async commit(_messages, positions) {
      await clock.advance(5)
      const outcome = left.shift()
      if (outcome !== 'stored') throw new CommitError('aborted', new Error('no'))
      return [...positions]
    },
    cancelCommit: () => undefined,
    check: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const log = new TracedLog({ log: inner, attempts, isSampled: () => isSampled, clock })
  const users = {
    of: (user: string) => (user === 'bob' ? Array.from({ length: connections }, () => ({}) as never) : []),
    ids: () => [],
  }
  const tracer = provider.getTracer('test')
  const traces = new MessageTraces({ tracer, ids, attempts, isSampled: () => isSampled, users, clock })
  const send = {
    ...{ id: ID, sender_id: 'ann', receiver_id: 'bob', content: 'secret', conversation, seq: 7, fate: 'stored' },
    ...{ queuedAtMs: clock.now(), refusal: undefined, ref: undefined },
  } as unknown as QueuedSend
  void clock.advance(3)
  const spans = () => exporter.getFinishedSpans()
  const namesOf = () => spans().map(({ name }) => name)
  return { clock, log, traces, send, spans, namesOf }
}

test('each attempt is a span of its own, with the wait before it', async () => {
  const { log, traces, send, spans } = bench({ outcomes: ['aborted', 'stored'] })
  await expect(log.commit([send], [], 'fast')).rejects.toBeInstanceOf(CommitError)
  await log.commit([send], [], 'fast')
  traces.tracing({ settled: () => undefined }).settled([send], [])
  expect(spans().map(({ name, status }) => [name, status.message])).toEqual([
    ['queue', undefined],
    ['commit', 'aborted'],
    ['queue', undefined],
    ['commit', undefined],
    ['send', undefined],
  ])
  const root = spans().at(-1)
  expect(root?.spanContext()).toMatchObject(rootOf(ID))
  for (const span of spans().slice(0, -1)) expect(span.parentSpanContext?.spanId).toBe(rootOf(ID).spanId)
  expect(root?.attributes).toMatchObject({ 'messaging.seq': 7, 'messaging.message.body.size': 6 })
  expect(JSON.stringify(spans().map(({ attributes }) => attributes))).not.toMatch(/secret|ann|bob/)
})

test('a refused send is told as a failure, without a number', () => {
  const { traces, send, spans } = bench()
  send.refusal = 'overloaded'
  traces.tracing({ settled: () => undefined }).settled([send], [])
  expect(spans().map(({ name, status }) => [name, status.message])).toEqual([['send', 'overloaded']])
  expect(spans()[0]?.attributes).not.toHaveProperty('messaging.seq')
})

test('the outcomes are told before the spans are made', () => {
  const { traces, send, namesOf } = bench()
  const before: string[][] = []
  traces.tracing({ settled: () => before.push(namesOf()) }).settled([send], [])
  expect(before).toEqual([[]])
  expect(namesOf()).toEqual(['send'])
})

test('an acknowledgement is told once, by the receiver, when it covers the message', () => {
  const { traces, send, namesOf } = bench()
  const position = (user: string, delivered: number) => {
    traces.position({ conversation, user, delivered, read: 0 } as never)
    return namesOf().filter((name) => name === 'acknowledge').length
  }
  traces.message(send)
  expect(position('ann', 9)).toBe(0)
  expect(position('bob', 6)).toBe(0)
  expect(position('bob', 7)).toBe(1)
  expect(position('bob', 8)).toBe(1)
})

test('where nobody is connected nothing was delivered, and what is not sampled is told nowhere', async () => {
  const nobody = bench({ connections: 0 })
  nobody.traces.message(nobody.send)
  expect(nobody.namesOf()).toEqual([])
  const { log, traces, send, namesOf } = bench({ isSampled: false })
  await log.commit([send], [], 'fast')
  traces.tracing({ settled: () => undefined }).settled([send], [])
  traces.message(send)
  expect(namesOf()).toEqual([])
})

test('what another instance committed is told by the id in its frame', () => {
  const { traces, spans } = bench()
  const message = { seq: 7, sender_id: 'ann', receiver_id: 'bob' }
  traces.received(
    'bob',
    [{ json: '{"type":"typing"}' }, { message, json: `{"type":"message","id":"${ID}","seq":7}` }],
    Date.UTC(2026, 0),
  )
  expect(spans().map(({ name, startTime }) => [name, startTime])).toEqual([['deliver', [Date.UTC(2026, 0) / 1000, 0]]])
  expect(spans()[0]?.spanContext().traceId).toBe(rootOf(ID).traceId)
})

test('a part of all messages is the same for everybody, and as large as was asked', () => {
  const ids = Array.from({ length: 20_000 }, (_, index) => {
    const tail = Math.imul(index + 1, 2_654_435_761) >>> 0
    return `0191e5a8-7c1e-4f0a-9d5e-0000${tail.toString(16).padStart(8, '0')}`
  })
  const count = (part: number) => ids.filter((id) => isAmong(id, part)).length
  expect(count(0)).toBe(0)
  expect(count(1)).toBe(20_000)
  expect(count(0.25)).toBeGreaterThan(4_800)
  expect(count(0.25)).toBeLessThan(5_200)
  expect(ids.every((id) => !isAmong(id, 0.1) || isAmong(id, 0.2))).toBe(true)
})
