// Whatever answers a command carries its `ref`, also one that a careless check takes for none.
import { expect, test } from 'vitest'
import { Guard } from '../../../src/gateway/guard.ts'
import { Unavailable } from '../../../src/lib/errors.ts'
import { MAX_READS_WAITING, MAX_SENDS_IN_FLIGHT, MAX_WATCHED } from '../../../src/protocol/limits.ts'
import { settled } from '../../support/fake-clock.ts'
import { gatewayBench } from '../../support/gateway.ts'

const ID = '0190b6f1-0000-7000-8000-000000000000'
const never = () => new Promise<never>(() => undefined)
type Bench = ReturnType<typeof gatewayBench>
type Client = Awaited<ReturnType<Bench['connectLive']>>

interface Answered {
  readonly code?: string
  readonly type?: string
  readonly command: object
  /** Makes the command be answered in this way. */
  readonly before?: (bench: Bench, client: Client) => void
}

const PEOPLE = Array.from({ length: MAX_WATCHED }, (_, index) => `user${index}`)

const ANSWERED: Readonly<Record<string, Answered>> = {
  'a pong': { type: 'pong', command: { type: 'ping' } },
  'a send': { type: 'sent', command: { type: 'send', receiver_id: 'bob', content: 'x', id: ID } },
  'a page of history': { type: 'history', command: { type: 'history', with: 'bob' } },
  'a list of conversations': { type: 'conversations', command: { type: 'conversations' } },
  'a comparison': { type: 'sync', command: { type: 'sync' } },
  'a wrong field': { code: 'invalid_request', command: { type: 'history', with: '' } },
  'a text that cannot be stored': {
    code: 'invalid_text',
    command: { type: 'send', receiver_id: 'bob', content: '\0', id: ID },
  },
  'a text that is too large': {
    code: 'payload_too_large',
    command: { type: 'send', receiver_id: 'bob', content: 'x'.repeat(1001), id: ID },
  },
  'a command that is not there': { code: 'invalid_request', command: { type: 'auth', token: 't' } },
  'a position above the head': { code: 'invalid_ack', command: { type: 'ack', with: 'bob', seq: 1 } },
  'a read that fails': {
    code: 'unavailable',
    command: { type: 'history', with: 'bob' },
    before: ({ store }) => (store.failingReads = 1),
  },
  'a read of a server that is away': {
    code: 'unavailable',
    command: { type: 'conversations' },
    before: ({ store }) => (store.conversations = () => Promise.reject(new Unavailable('away'))),
  },
  'a bug': {
    code: 'internal',
    command: { type: 'conversations' },
    before: ({ store }) => (store.conversations = () => Promise.reject(new TypeError('a bug'))),
  },
  'a bug before the first wait': {
    code: 'internal',
    command: { type: 'typing', receiver_id: 'bob' },
    before: ({ services }) => {
      services.fanout.typing = () => {
        throw new TypeError('a bug')
      }
    },
  },
  'a send beyond those in flight': {
    code: 'too_many_in_flight',
    command: { type: 'send', receiver_id: 'bob', content: 'x', id: ID },
    before: ({ store }, { say }) => {
      store.outcomes.push('hang')
      for (let left = MAX_SENDS_IN_FLIGHT; left > 0; left -= 1) say({ type: 'send', receiver_id: 'bob', content: 'x' })
    },
  },
  'a read beyond those that wait': {
    code: 'too_many_in_flight',
    command: { type: 'sync' },
    before: ({ store }, { say }) => {
      store.page = never
      for (let left = MAX_READS_WAITING + 4; left > 0; left -= 1) say({ type: 'history', with: 'bob' })
    },
  },
  'a send that cannot be stored': {
    code: 'unavailable',
    command: { type: 'send', receiver_id: 'bob', content: 'bad', id: ID },
    before: ({ writer }) => void writer.close(0),
  },
  'an id that is taken': {
    code: 'id_conflict',
    command: { type: 'send', receiver_id: 'bob', content: 'other', id: ID },
    before: (_bench, { say }) => say({ type: 'send', receiver_id: 'bob', content: 'x', id: ID }),
  },
  'a watch of too many': {
    code: 'invalid_request',
    command: { type: 'watch', user_ids: ['one-more'] },
    before: (_bench, { connection }) => void connection.watch(PEOPLE),
  },
}

const CASES = Object.entries(ANSWERED).flatMap(([name, answered]) =>
  [0, '', -1, 'r'].map((ref) => ({ name, ref, answered })),
)

test.each(CASES)('$name carries the ref $ref', async ({ ref, answered }) => {
  const { type = 'error', code, command, before } = answered
  const bench = gatewayBench()
  const client = await bench.connectLive('ann')
  before?.(bench, client)
  client.say({ ...command, ref })
  await settled()
  const answers = client.events().filter((event) => event['ref'] === ref)
  expect(answers).toMatchObject([{ type, ...(code && { code }), ...('id' in command && { id: ID }) }])
})

test.each([0, ''])('a command that came too fast carries the ref %j', async (ref) => {
  const unlimited = {
    addressRequestsPerSecond: 0,
    upgradesPerSecond: 0,
    addressRefusalsPerSecond: 0,
    maxConnections: 9,
    maxConnectionsPerAddress: 9,
  }
  const guard = new Guard({ ...unlimited, userCommandsPerSecond: 1 }, { now: () => 0 })
  const { connectLive } = gatewayBench(() => ({ guard }))
  const { say, events } = await connectLive('ann')
  for (let left = 3; left > 0; left -= 1) say({ type: 'send', receiver_id: 'bob', content: 'x', id: ID, ref })
  expect(events('error')).toMatchObject([{ code: 'rate_limited', ref, id: ID, retry_after_ms: 1000 }])
})
