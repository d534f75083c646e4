// What the server refuses for now: with how long to wait, or with a code alone.
import { describe, expect, test } from 'vitest'
import { memoryStorage } from '../../../src/client/index.ts'
import type { KeptEntry } from '../../../src/client/storage.ts'
import { ERRORS } from '../../../src/protocol/codes.ts'
import { contentsOf, type FakeChat, fakeChat, rowsOf, told } from '../../support/fake-chat.ts'

// Whether somebody is online is not asked with a command that is sent again.
const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `friend-${n}`)

const FOR_NOW = Object.entries(ERRORS).flatMap(([code, { temporary }]) =>
  temporary && code !== 'presence_unknown' ? [code] : [],
)

test.each(FOR_NOW)('a message that is refused with %s alone goes again, and none overtakes it', async (error) => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  await advance(100)
  let refusals = 2
  server.sendFault = ({ content }) => {
    if (content !== 'first' || refusals === 0) return undefined
    refusals -= 1
    return { error }
  }
  const all = ['first', 'second'].map((text) => amy.conversation('ben').send(text))
  await advance(20_000)
  for (const { settled } of all) expect(await settled).toMatchObject({ outcome: 'ok' })
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(['first', 'second'])
})

/** Refuses each command of these types so many times. */
function refusing(chat: FakeChat, types: readonly string[], times: number): number[] {
  const at: number[] = []
  chat.server.commandFault = ({ type }) => {
    if (!types.includes(type) || at.length >= times) return undefined
    at.push(chat.server.clock.now())
    return { error: 'rate_limited', retryAfterMs: 5000 }
  }
  return at
}

describe('a position that is refused for now', () => {
  test.each(['read', 'ack'] as const)('is said again after the time that the server said: %s', async (type) => {
    const chat = fakeChat()
    const { client, server, advance } = chat
    const ben = client('ben')
    await advance(100)
    const at = refusing(chat, [type], 2)
    server.write('amy', 'ben', 'one')
    await advance(type === 'read' ? 1000 : 0)
    if (type === 'read') ben.conversation('amy').markRead(1)
    await advance(30_000)
    expect(server.log.positions('ben', 'amy')[type === 'read' ? 'read_seq' : 'delivered_seq']).toBe(1)
    expect(at).toHaveLength(2)
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(5000)
  })

  test('is confirmed by no comparison meanwhile, and is said again on the next connection', async () => {
    const chat = fakeChat()
    const { client, server, advance } = chat
    const ben = client('ben')
    server.write('amy', 'ben', 'one')
    await advance(1000)
    server.commandFault = ({ type }) => (type === 'read' ? { error: 'overloaded', retryAfterMs: 300_000 } : undefined)
    ben.conversation('amy').markRead(1)
    await advance(130_000)
    expect(server.commands.filter(({ command }) => command.type === 'read')).toHaveLength(1)
    server.commandFault = () => undefined
    server.cut()
    await advance(10_000)
    expect(server.log.positions('ben', 'amy').read_seq).toBe(1)
  })
})

describe('a question', () => {
  test('that is refused for now is asked again after the time that the server said', async () => {
    const chat = fakeChat()
    const { client, server, advance } = chat
    for (let n = 1; n <= 3; n += 1) server.write('amy', 'ben', String(n))
    server.log.move('ben', 'amy', 3, true)
    const at = refusing(chat, ['conversations', 'history', 'sync'], 3)
    const ben = client('ben')
    const off = ben.conversation('amy').messages.subscribe(() => undefined)
    await advance(60_000)
    expect(contentsOf(ben.conversation('amy').messages.get())).toEqual(['1', '2', '3'])
    const times = [...new Set(at)]
    expect(times.length).toBeLessThanOrEqual(3)
    for (const [index, time] of times.entries())
      if (index > 0) expect(time - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(5000)
    off()
  })

  test('that has no answer on a connection that is otherwise well is asked again on another', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    for (const other of ['a', 'b', 'c', 'd', 'e']) server.write(other, 'ben', '1')
    await advance(1000)
    let lost = 0
    server.frameFault = (frame) => {
      if (frame.type === 'message' && frame.seq === 2) return 'drop'
      if (frame.type !== 'history' || lost >= 5) return undefined
      lost += 1
      return 'drop'
    }
    for (const other of ['a', 'b', 'c', 'd', 'e']) for (const text of ['2', '3']) server.write(other, 'ben', text)
    await advance(5 * 60_000)
    expect(messages).toHaveLength(15)
    expect(ben.status.get().state).toBe('live')
  })

  test('about the line of history that is refused for now is asked again, and what came is acknowledged', async () => {
    const chat = fakeChat()
    const { client, server, advance } = chat
    const storage = memoryStorage()
    const first = client('ben', { storage })
    server.write('amy', 'ben', 'one')
    await advance(1000)
    await first.close()
    server.epoch = 'second'
    refusing(chat, ['history'], 1)
    client('ben', { storage })
    await advance(1000)
    server.write('amy', 'ben', 'two')
    await advance(20_000)
    expect(server.log.positions('ben', 'amy').delivered_seq).toBe(2)
  })
})

test('a message that is cancelled on its way and stored after all is shown', async () => {
  const { client, advance } = fakeChat({ latencyMs: 50 })
  const amy = client('amy')
  expect(rowsOf(amy, 'ben')).toEqual([])
  await advance(1000)
  const { discard, send } = amy.conversation('ben')
  const sending = send('too late')
  await advance(10)
  expect(sending.status.get()).toBe('sending')
  expect(discard(sending.id)).toBe(false)
  expect(rowsOf(amy, 'ben')).toEqual([])
  await advance(1000)
  expect(rowsOf(amy, 'ben')).toEqual(['too late sent'])
  expect(amy.pending.get()).toBe(0)
})

describe('what was typed without a connection', () => {
  test('may be as long as the server has said before the reload', async () => {
    const { client, server, advance } = fakeChat({ maxContentBytes: 20_000 })
    const storage = memoryStorage()
    const first = client('amy', { storage })
    await advance(1000)
    await first.close()
    server.isDown = true
    const again = client('amy', { storage })
    await advance(100)
    const { status } = again.conversation('ben').send('x'.repeat(20_000))
    expect(status.get()).toBe('queued')
    expect(again.conversation('ben').send('x'.repeat(20_001)).status.get()).toBe('failed')
  })

  async function reloaded(change: (row: KeptEntry) => KeptEntry = (row) => row) {
    const { client, server, advance } = fakeChat()
    server.isDown = true
    const storage = memoryStorage()
    const first = client('amy', { storage })
    const { id } = first.conversation('ben').send('offline')
    await advance(100)
    await first.close()
    const kept = await storage.open('messaging-server-client http://fake.test amy', () => undefined)
    const rows = (await kept.load()).outbox.map((row) => ({ put: 'outbox', row: change(row) }) as const)
    await kept.write(rows, true)
    const again = client('amy', { storage })
    await advance(100)
    return { server, again, id, advance }
  }

  test('is known after a reload to be unsent, and can be taken back', async () => {
    const { again, id } = await reloaded()
    expect(rowsOf(again, 'ben')).toEqual(['offline queued'])
    expect(again.conversation('ben').takeBack(id)).toBe(true)
    expect([rowsOf(again, 'ben'), again.conversation('ben').draft.get()]).toEqual([[], 'offline'])
  })

  test('and kept by an earlier version may be stored: that one did not say', async () => {
    const { again, id } = await reloaded((row) => ({ ...row, v: 1 }))
    expect(rowsOf(again, 'ben')).toEqual(['offline sending'])
    expect(again.conversation('ben').takeBack(id)).toBe(false)
  })

  test('may be stored once it was written to a connection, also after a reload', async () => {
    const { client, server, advance } = fakeChat({ latencyMs: 50 })
    const storage = memoryStorage()
    server.isDown = true
    const first = client('amy', { storage })
    const { id } = first.conversation('ben').send('written')
    await advance(100)
    server.isDown = false
    first.connect()
    server.sendFault = () => 'cut_before'
    await advance(5000)
    await first.close()
    server.isDown = true
    const again = client('amy', { storage })
    await advance(100)
    expect(rowsOf(again, 'ben')).toEqual(['written sending'])
    expect(again.conversation('ben').discard(id)).toBe(false)
  })
})

describe('what the server is to know of this client', () => {
  test.each(['rate_limited', 'unavailable'])('and %s refuses for now, is said again after the pause', async (error) => {
    const { client, server, advance } = fakeChat()
    let refusals = 0
    server.commandFault = ({ type }) => {
      if (!['watch', 'unwatch'].includes(type) || refusals >= 2) return undefined
      refusals += 1
      return { error, retryAfterMs: 5000 }
    }
    const ben = client('ben')
    const others = ['amy', 'cat'].map((id) => ben.presence(id))
    const [endAmy] = others.map((presence) => presence.subscribe(() => undefined))
    await advance(4000)
    expect(others.map((presence) => presence.get().status)).toEqual(['unknown', 'unknown'])
    await advance(30_000)
    expect([refusals, ...others.map((presence) => presence.get().status)]).toEqual([2, 'offline', 'offline'])
    refusals = 0
    endAmy?.()
    await advance(30_000)
    const said = server.commands.flatMap(({ command }) => (command.type.endsWith('watch') ? [command] : []))
    expect(said.at(-2)).toMatchObject({ type: 'unwatch', user_ids: ['amy'] })
    expect(said.at(-1)).toMatchObject({ type: 'watch', user_ids: ['cat'] })
  })

  test('is one command for all that begin to be watched in one moment', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    await advance(1000)
    const ends = numbered(600).map((id) => ben.presence(id).subscribe(() => undefined))
    const passing = ben.presence('passing').subscribe(() => undefined)
    passing()
    await advance(100)
    const sizes = (type: string): number[] =>
      server.commands.flatMap(({ command }) =>
        command.type === type && 'user_ids' in command ? [command.user_ids.length] : [],
      )
    expect([sizes('watch'), sizes('unwatch')]).toEqual([[500, 100], []])
    for (const end of ends) end()
    await advance(100)
    expect(sizes('unwatch')).toEqual([500, 100])
  })
})

describe('a server that says to slow down', () => {
  const TELLING = ['send', 'watch', 'history', 'read', 'typing']

  test('hears nothing more of this client until the time that it said, whatever it refused', async () => {
    const { client, server, advance } = fakeChat()
    server.write('amy', 'ben', 'one')
    const ben = client('ben')
    await advance(1000)
    const { conversation } = ben
    server.commandFault = ({ type }) => (type === 'history' ? { error: 'rate_limited', retryAfterMs: 9000 } : undefined)
    const reading = conversation('cat').loadOlder()
    await advance(10)
    const from = server.commands.length
    server.commandFault = () => undefined
    const { settled } = conversation('amy').send('two')
    conversation('amy').markRead(1)
    conversation('amy').typing()
    const off = ben.presence('amy').subscribe(() => undefined)
    await advance(8900)
    expect(server.commands.slice(from)).toEqual([])
    await advance(20_000)
    const said = new Set(server.commands.slice(from).map(({ command }) => command.type))
    expect(TELLING.filter((type) => said.has(type as 'send'))).toEqual(TELLING.filter((type) => type !== 'typing'))
    expect([await settled, await reading]).toMatchObject([{ outcome: 'ok' }, false])
    off()
  })

  test.each([
    ['as long as it said', 30_000, 30_000, 37_100],
    ['no longer than it said', 2000, 2000, 3500],
    ['ten seconds when it said nothing', undefined, 10_000, 12_100],
  ])('and closes is left alone %s', async (_, retryAfterMs, least, most) => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    await advance(15_000)
    server.commandFault = ({ type }) =>
      type === 'watch' && retryAfterMs !== undefined ? { error: 'rate_limited', retryAfterMs } : undefined
    const off = ben.presence('amy').subscribe(() => undefined)
    await advance(5)
    server.commandFault = () => undefined
    const before = server.socketCount
    const closedAt = server.clock.now()
    server.cut(4429)
    while (server.socketCount === before && server.clock.now() - closedAt < 60_000) await advance(100)
    const waitedMs = server.clock.now() - closedAt
    expect(waitedMs).toBeGreaterThanOrEqual(least - 10)
    expect(waitedMs).toBeLessThanOrEqual(most)
    off()
  })
})
