// How the load generator speaks to Tinode, whose answers come in order in each conversation alone.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { LoadGenerator } from '../../../bench/lib/generator.ts'
import { type GeneratorResult, userIdOf } from '../../../bench/lib/load-plan.ts'
import { tinodeWire } from '../../../bench/lib/tinode-wire.ts'

const people = [0, 1, 2]
const accounts = new Map(people.map((person) => [userIdOf('u', person), { id: `usr${person}`, token: `t${person}` }]))

interface Command {
  readonly login?: { readonly id: string; readonly secret: string }
  readonly sub?: { readonly id: string; readonly topic: string }
  readonly pub?: { readonly id: string; readonly topic: string; readonly noecho: boolean; readonly content: string }
  readonly hi?: { readonly id: string }
}
type Publication = NonNullable<Command['pub']>

/** Turns the order of what one chunk brought, or refuses, or does neither. */
type Manner = (publications: Publication[]) => Publication[]

let server: WebSocketServer | undefined
afterEach(() => {
  for (const socket of server?.clients ?? []) socket.terminate()
  server?.close()
})

/** As much of Tinode as a load needs: topics of two that number, answer and push. */
async function startTinode(manner: Manner): Promise<number> {
  const topics = new Map<string, { sockets: Map<string, WebSocket>; seq: number }>()
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => {
    let me = ''
    const waiting: Publication[] = []
    const ctrl = (fields: object): void => socket.send(JSON.stringify({ ctrl: { ...fields, ts: '' } }))
    const take = ({ hi, login, sub, pub }: Command): void => {
      if (hi !== undefined) return ctrl({ id: hi.id, code: 201 })
      if (login !== undefined) {
        me = `usr${login.secret.slice(1)}`
        return ctrl({ id: login.id, params: { user: me }, code: 200 })
      }
      if (sub !== undefined) {
        const name = [me, sub.topic].sort().join()
        const topic = topics.get(name) ?? { sockets: new Map(), seq: 0 }
        topics.set(name, topic)
        topic.sockets.set(me, socket)
        return ctrl({ id: sub.id, topic: sub.topic, code: 200 })
      }
      if (pub === undefined) return
      if (waiting.length === 0) setImmediate(() => flush(manner(waiting.splice(0))))
      waiting.push(pub)
    }
    const flush = (publications: Publication[]): void => {
      for (const { id, topic: to, content } of publications) {
        const topic = topics.get([me, to].sort().join())
        if (topic === undefined) return ctrl({ id, topic: to, code: 409 })
        const seq = ++topic.seq
        ctrl({ id, topic: to, params: { seq }, code: 202 })
        topic.sockets.get(to)?.send(JSON.stringify({ data: { topic: me, from: me, ts: '', seq, content } }))
      }
    }
    socket.on('message', (bytes) => take(JSON.parse(String(bytes))))
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Everybody writes once to both of the others. */
async function load(manner: Manner): Promise<GeneratorResult> {
  const port = await startTinode(manner)
  const generator = new LoadGenerator({
    ...{ host: '127.0.0.1', ports: [port, port], wire: 'tinode', accounts, numbering: 'conversation', people },
    ...{ userPrefix: 'u', connections: 3, peersEach: 2, inFlight: 2, burst: 2, ratePerSecond: 0, contentBytes: 100 },
    ...{ ackEvery: 0, seed: 1 },
  })
  await generator.connect()
  await generator.open()
  return generator.finish()
}

describe('a load', () => {
  test('takes answers of different conversations in any order', async () => {
    const { conversations, faults } = await load((publications) => publications.reverse())
    expect(faults).toEqual([])
    expect(conversations.map(({ messages }) => messages)).toEqual([2, 2, 2])
  })

  test('is void when two answers are of the same message', async () => {
    const { faults } = await load(([first]) => (first === undefined ? [] : [first, first]))
    expect(faults.join()).toContain('reply out of order')
  })

  test('is void when a publication is refused', async () => {
    const { faults } = await load(([first, ...others]) =>
      first === undefined ? [] : [...others, { ...first, topic: 'usr9' }],
    )
    expect(faults.join()).toContain('"code":409')
  })
})

describe('the wire', () => {
  const wire = tinodeWire(accounts)
  const kindOf = (frame: object) => wire.kindOf(Buffer.from(JSON.stringify(frame)), 0)

  test.each([
    ['sent', { ctrl: { id: '10000000', topic: 'usr1', params: { seq: 1 }, code: 202, text: 'accepted', ts: '' } }],
    ['error', { ctrl: { id: '10000000', topic: 'usr1', code: 503, text: 'unavailable', ts: '' } }],
    ['error', { ctrl: { topic: 'usr1', code: 205, text: 'evicted', ts: '' } }],
    ['greeted', { ctrl: { id: '40', topic: 'usr1', code: 200, text: 'ok', ts: '' } }],
    ['message', { data: { topic: 'usr1', from: 'usr1', ts: '', seq: 2, content: 'x' } }],
    ['other', { pres: { topic: 'usr1', what: 'on' } }],
  ])('takes as %s what is', (kind, frame) => {
    expect(kindOf(frame)).toBe(kind)
  })

  test('has one of two make a topic, and the other join when all are made', () => {
    const [u0 = '', u1 = '', u2 = ''] = people.map((person) => userIdOf('u', person))
    const topics = (userId: string, peers: string[]) =>
      wire.greetings(userId, peers).map((round) => round.map((bytes) => JSON.parse(String(bytes)).sub?.topic))
    expect(topics(u1, [u0, u2])).toEqual([[undefined, undefined, 'usr2'], ['usr0']])
  })

  test('sends as many bytes of content as are asked for, and wants no echo', () => {
    const [senderId = '', receiverId = ''] = accounts.keys()
    const { pub }: Command = JSON.parse(String(wire.encodeSend({ senderId, receiverId, content: 'x'.repeat(100) })))
    expect(pub).toMatchObject({ topic: 'usr1', noecho: true })
    expect(pub?.content).toHaveLength(100)
  })
})
