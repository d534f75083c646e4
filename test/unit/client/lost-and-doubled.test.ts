// The ways in which clients are known to lose, double or reorder messages, each ordered from the fake server.
import { describe, expect, test } from 'vitest'
import { memoryStorage } from '../../../src/client/index.ts'
import { seededRandom } from '../../../src/client/testing/index.ts'
import { watchRows } from '../../support/chat-client.ts'
import { contentsOf, type FakeChat, fakeChat, rowsOf, told } from '../../support/fake-chat.ts'

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))
const sendsOf = ({ server }: FakeChat) =>
  server.commands.flatMap(({ connection, command }) =>
    command.type === 'send' ? [{ connection, id: command.id }] : [],
  )

test('a reply that is lost after the commit makes no second message', async () => {
  const chat = fakeChat()
  const { client, server, advance } = chat
  const [amy, ben] = [client('amy'), client('ben')]
  const messages = told(ben)
  await advance(100)
  let isCut = false
  server.sendFault = () => {
    if (isCut) return undefined
    isCut = true
    return 'cut_after'
  }
  const sending = amy.conversation('ben').send('once')
  const rows = watchRows(amy, 'ben')
  await advance(10_000)
  expect(await sending.settled).toMatchObject({ outcome: 'ok', seq: 1, duplicate: true })
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(['once'])
  expect(contentsOf(messages)).toEqual(['once'])
  expect(rowsOf(amy, 'ben')).toHaveLength(1)
  expect(rows).toEqual({ most: 1, least: 1 })
})

test('a server that stalls for a minute gets each message once a connection, and stores it once', async () => {
  const chat = fakeChat()
  const { client, server, advance } = chat
  const amy = client('amy')
  await advance(100)
  server.stall(60_000)
  const sending = amy.conversation('ben').send('patience')
  await advance(90_000)
  expect(await sending.settled).toMatchObject({ outcome: 'ok', seq: 1 })
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(['patience'])
  const perConnection = sendsOf(chat).map(({ connection, id }) => `${connection} ${id}`)
  expect(new Set(perConnection).size).toBe(perConnection.length)
})

describe('a link that breaks right after the write', () => {
  test('loses nothing: the message arrives after the reconnect', async () => {
    const { client, server, advance } = fakeChat({ latencyMs: 20 })
    const amy = client('amy')
    await advance(500)
    const sending = amy.conversation('ben').send('in the buffer')
    await advance(1)
    expect(sending.status.get()).toBe('sending')
    server.cut()
    await advance(5000)
    expect(await sending.settled).toMatchObject({ outcome: 'ok' })
    expect(server.log.of('amy', 'ben').messages).toHaveLength(1)
  })

  test('loses nothing either when the program ends before it', async () => {
    const { client, server, advance } = fakeChat({ latencyMs: 20 })
    const storage = memoryStorage()
    const amy = client('amy', { storage })
    await advance(500)
    const { id } = amy.conversation('ben').send('in the buffer')
    await advance(1)
    server.cut()
    server.isDown = true
    await amy.close()
    server.isDown = false
    const again = client('amy', { storage })
    await advance(2000)
    expect(server.log.of('amy', 'ben').messages).toMatchObject([{ id, content: 'in the buffer' }])
    expect(rowsOf(again, 'ben')).toEqual(['in the buffer sent'])
  })
})

test('later messages do not overtake one that is refused for now', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  await advance(100)
  let refusals = 3
  server.sendFault = ({ content }) => {
    if (content !== '1' || refusals === 0) return undefined
    refusals -= 1
    return { error: 'overloaded', retryAfterMs: 500 }
  }
  const all = numbers(1, 10).map((text) => amy.conversation('ben').send(text))
  await advance(60_000)
  expect((await Promise.all(all.map(({ settled }) => settled))).every(({ outcome }) => outcome === 'ok')).toBe(true)
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(numbers(1, 10))
})

test('200 messages keep their order and their number through random faults', async () => {
  const { client, server, advance } = fakeChat({ seed: 5 })
  const random = seededRandom(19_081)
  const faults = [
    'cut_before',
    'cut_after',
    { error: 'rate_limited', retryAfterMs: 300 },
    { error: 'overloaded', retryAfterMs: 50 },
  ] as const
  server.sendFault = () => (random() < 0.3 ? faults[Math.floor(random() * faults.length)] : undefined)
  const amy = client('amy')
  const ben = client('ben')
  const messages = told(ben)
  const all = numbers(1, 200).map((text) => amy.conversation('ben').send(text))
  await advance(1_200_000)
  expect(amy.pending.get()).toBe(0)
  expect((await Promise.all(all.map(({ settled }) => settled))).every(({ outcome }) => outcome === 'ok')).toBe(true)
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(numbers(1, 200))
  expect(contentsOf(messages)).toEqual(numbers(1, 200))
})

describe('while it connects', () => {
  test.each(Array.from({ length: 20 }, (_, point) => point))(
    'misses nothing that is committed at moment %i',
    async (point) => {
      const { client, server, advance } = fakeChat({ latencyMs: 3 })
      server.write('amy', 'ben', '1')
      const ben = client('ben')
      const messages = told(ben)
      await advance(point)
      server.write('amy', 'ben', '2')
      await advance(5000)
      expect(contentsOf(messages)).toEqual(['1', '2'])
      expect(server.log.positions('ben', 'amy').delivered_seq).toBe(2)
    },
  )

  test('takes the reply to its own first message for no sign that it has what came before', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    await advance(200)
    server.frameFault = ({ type }) => (type === 'message' ? 'drop' : undefined)
    server.write('amy', 'ben', 'hers')
    ben.conversation('amy').send('mine')
    server.frameFault = ({ type, content }) => (type === 'message' && content === 'hers' ? 'drop' : undefined)
    await advance(3)
    expect(server.log.of('amy', 'ben').messages).toHaveLength(2)
    expect(server.log.positions('ben', 'amy').delivered_seq).toBe(0)
    await advance(5000)
    expect(contentsOf(messages)).toEqual(['hers', 'mine'])
    expect(server.log.positions('ben', 'amy').delivered_seq).toBe(2)
  })

  test.each([40, 700])('shows what came before the reply to its own first message: %i of them', async (count) => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    const { messages: rows, send } = ben.conversation('amy')
    rows.subscribe(() => undefined)
    await advance(200)
    server.frameFault = ({ type }) => (type === 'message' ? 'drop' : undefined)
    for (let n = 1; n <= count; n += 1) server.write('amy', 'ben', String(n))
    send('mine')
    await advance(3)
    const acked = (): number[] =>
      server.commands.flatMap(({ command }) => (command.type === 'ack' || command.type === 'read' ? [command.seq] : []))
    expect([server.log.of('amy', 'ben').messages.length, acked()]).toEqual([count + 1, []])
    server.frameFault = () => undefined
    await advance(5000)
    expect(contentsOf(messages)).toEqual([...Array.from({ length: count }, (_, n) => String(n + 1)), 'mine'])
    expect(contentsOf(rows.get()).slice(-41)).toEqual(contentsOf(messages).slice(-41))
    expect(acked().at(-1)).toBe(count + 1)
  })

  test('does not take a page of the history for news: a new device is told nothing that was acknowledged', async () => {
    const { client, server, advance } = fakeChat()
    const first = client('ben')
    for (const text of ['1', '2', '3']) server.write('amy', 'ben', text)
    await advance(1000)
    await first.close()
    const second = client('ben')
    const messages = told(second)
    // The list, which says how far this person is, comes late; the page of the open conversation does not.
    server.frameFault = ({ type }) => (type === 'conversations' ? 'drop' : undefined)
    await advance(200)
    second.conversation('amy').messages.subscribe(() => undefined)
    await advance(200)
    expect(rowsOf(second, 'amy')).toHaveLength(3)
    server.frameFault = () => undefined
    server.write('amy', 'ben', '4')
    server.cut()
    await advance(5000)
    expect(contentsOf(messages)).toEqual(['4'])
  })

  test('shows a message that overtook another in its place', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    server.write('amy', 'ben', '1')
    await advance(100)
    server.frameFault = (frame) => (frame.content === '2' ? { delayMs: 200 } : undefined)
    server.write('amy', 'ben', '2')
    server.write('amy', 'ben', '3')
    await advance(100)
    expect(contentsOf(messages)).toEqual(['1'])
    await advance(200)
    expect(contentsOf(messages)).toEqual(['1', '2', '3'])
    expect(server.commands.filter(({ command }) => command.type === 'history')).toEqual([])
  })

  test('fetches a message that never came, half a second after the one behind it', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    server.write('amy', 'ben', '1')
    await advance(100)
    server.frameFault = (frame) => (frame.content === '2' ? 'drop' : undefined)
    server.write('amy', 'ben', '2')
    server.write('amy', 'ben', '3')
    await advance(490)
    expect(contentsOf(messages)).toEqual(['1'])
    await advance(20)
    expect(contentsOf(messages)).toEqual(['1', '2', '3'])
  })

  test('fetches after a restart what it knew to be missing before, though another device had it all', async () => {
    const { client, server, advance } = fakeChat()
    const storage = memoryStorage()
    server.write('amy', 'ben', '1')
    const first = client('ben', { storage })
    await advance(600)
    server.frameFault = ({ type, content }) => (content === '2' || type === 'history' ? 'drop' : undefined)
    server.write('amy', 'ben', '2')
    server.write('amy', 'ben', '3')
    await advance(600)
    await first.close()
    server.log.move('ben', 'amy', 3, false)
    server.frameFault = () => undefined
    const again = client('ben', { storage })
    const messages = told(again)
    await advance(2000)
    expect(contentsOf(messages)).toEqual(['2', '3'])
  })

  test('fetches what is new though a hole further up cannot be filled', async () => {
    const { client, server, advance } = fakeChat()
    const storage = memoryStorage()
    server.write('amy', 'ben', '1')
    const first = client('ben', { storage })
    await advance(1000)
    await first.close()
    server.log.move('ben', 'amy', 1, true)
    for (const text of numbers(2, 700)) server.write('amy', 'ben', text)
    server.log.move('ben', 'amy', 700, true)
    const page = server.log.page.bind(server.log)
    // The server lacks what lies above the hole.
    server.log.page = (me, other, request) => {
      const { messages, has_more } = page(me, other, request)
      return { messages: request.before ? messages.slice(0, -1) : messages, has_more }
    }
    const ben = client('ben', { storage })
    const messages = told(ben)
    const off = ben.conversation('amy').messages.subscribe(() => undefined)
    await advance(20_000)
    expect(contentsOf(ben.conversation('amy').messages.get()).at(-1)).toBe('700')
    messages.length = 0
    const asked = (): number =>
      server.commands.filter(({ command }) => command.type === 'history' && command.before).length
    const before = asked()
    server.frameFault = ({ content }) => (content === '701' ? 'drop' : undefined)
    server.write('amy', 'ben', '701')
    server.write('amy', 'ben', '702')
    await advance(600)
    expect(contentsOf(ben.conversation('amy').messages.get()).slice(-2)).toEqual(['701', '702'])
    await advance(10_000)
    // And the hole is not asked for again and again.
    expect(asked() - before).toBeLessThanOrEqual(1)
    off()
  })

  test('finds at the next comparison what never came and nothing came behind', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    server.write('amy', 'ben', '1')
    await advance(100)
    server.frameFault = (frame) => (frame.type === 'message' ? 'drop' : undefined)
    server.write('amy', 'ben', '2')
    await advance(50_000)
    expect(contentsOf(messages)).toEqual(['1'])
    await advance(20_000)
    expect(contentsOf(messages)).toEqual(['1', '2'])
  })
})

test('a socket that sleeps through two minutes is found dead, and nothing stays missing', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  const messages = told(ben)
  await advance(100)
  server.mute('ben')
  for (let n = 1; n <= 50; n += 1) server.write('amy', 'ben', String(n))
  await server.clock.sleep(120_000)
  const states: string[] = []
  ben.on('status', ({ state }) => states.push(state))
  await advance(5000)
  expect(states[0]).toBe('waiting')
  expect(ben.status.get().state).toBe('live')
  expect(contentsOf(messages)).toEqual(numbers(1, 50))
})

test('a frame that was on its way when the link died does not hide that it is dead', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  await advance(100)
  const sleepMs = 120_000
  server.frameFault = ({ type }) => (type === 'message' ? { delayMs: sleepMs + 500 } : 'drop')
  server.write('amy', 'ben', 'on its way')
  await server.clock.sleep(sleepMs)
  const states: string[] = []
  ben.on('status', ({ state }) => states.push(state))
  await advance(3500)
  expect(contentsOf(ben.conversation('amy').messages.get())).toEqual(['on its way'])
  expect(states[0]).toBe('waiting')
})

test('a dead link is noticed after a heartbeat and five seconds of silence', async () => {
  const { client, server, advance } = fakeChat({ heartbeatSeconds: 30 })
  const ben = client('ben')
  await advance(12_000)
  server.mute()
  const at = server.clock.now()
  let noticed = Number.POSITIVE_INFINITY
  ben.on('status', ({ state }) => {
    if (state === 'waiting') noticed = Math.min(noticed, server.clock.now() - at)
  })
  await advance(60_000)
  expect(noticed).toBeLessThanOrEqual(35_000)
})

test('while it sends and reconnects, each row is on the screen exactly once at every moment', async () => {
  const { client, server, advance } = fakeChat({ latencyMs: 5 })
  const amy = client('amy')
  await advance(100)
  amy.conversation('ben').send('0')
  await advance(100)
  const rows = watchRows(amy, 'ben')
  const random = seededRandom(19_082)
  for (let n = 1; n <= 30; n += 1) {
    amy.conversation('ben').send(String(n))
    server.write('ben', 'amy', `from ben ${n}`)
    await advance(Math.floor(random() * 30))
    if (n % 3 === 0) server.cut()
    await advance(Math.floor(random() * 1500))
  }
  await advance(30_000)
  expect(rows.most).toBe(1)
  expect(rows.least).toBeGreaterThanOrEqual(1)
  expect(rowsOf(amy, 'ben')).toHaveLength(61)
})

test('a hundred reconnects leave one socket and one event a message, and an old socket changes nothing', async () => {
  const { client, server, advance } = fakeChat()
  const sockets: InstanceType<typeof server.WebSocket>[] = []
  const WebSocket = new Proxy(server.WebSocket, {
    construct(socket, [url, protocols]) {
      const opened = new socket(url, protocols)
      sockets.push(opened)
      return opened
    },
  })
  const ben = client('ben', { WebSocket })
  const messages = told(ben)
  await advance(100)
  for (let turn = 0; turn < 100; turn += 1) {
    server.cut()
    await advance(15_000)
  }
  expect(server.openCount).toBe(1)
  expect(server.socketCount).toBe(101)
  const late = { type: 'message', ...server.write('amy', 'ben', 'one'), seq: 2, id: 'late', content: 'late' }
  for (const socket of sockets.slice(0, -1)) socket.onmessage?.({ data: JSON.stringify(late) })
  await advance(1000)
  expect(contentsOf(messages)).toEqual(['one'])
  expect(rowsOf(ben, 'amy')).toEqual(['one received'])
})

describe('what waits for too long, or for somebody else', () => {
  test('is not sent after a day without asking', async () => {
    const { client, server, advance } = fakeChat()
    const storage = memoryStorage()
    server.isDown = true
    const amy = client('amy', { storage })
    const { id } = amy.conversation('ben').send('stale')
    await advance(1000)
    await amy.close()
    await server.clock.sleep(25 * 3_600_000)
    server.isDown = false
    const later = client('amy', { storage })
    await advance(5000)
    expect(server.log.of('amy', 'ben').messages).toEqual([])
    expect(rowsOf(later, 'ben')).toEqual(['stale held'])
    const again = later.conversation('ben').retry(id)
    await advance(1000)
    expect(await again?.settled).toMatchObject({ outcome: 'ok', id, seq: 1 })
  })

  test('is neither sent nor shown to the next user after a logout', async () => {
    const { client, server, advance } = fakeChat()
    const storage = memoryStorage()
    server.isDown = true
    const amy = client('amy', { storage })
    const sending = amy.conversation('ben').send('secret')
    amy.conversation('ben').draft.set('half a secret')
    await advance(100)
    await amy.logout()
    expect(await sending.settled).toEqual({ outcome: 'cancelled', id: sending.id, kept: false })
    server.isDown = false
    const cleo = client('cleo', { storage })
    const back = client('amy', { storage })
    await advance(5000)
    for (const user of [cleo, back]) {
      expect(user.conversations.get()).toEqual([])
      expect(rowsOf(user, 'ben')).toEqual([])
      expect(user.conversation('ben').draft.get()).toBe('')
    }
    expect(server.log.of('amy', 'ben').messages).toEqual([])
    expect(server.log.of('cleo', 'ben').messages).toEqual([])
  })

  test('stays with its user when a token turns out to be of another', async () => {
    let who = 'amy'
    const { client, server, advance } = fakeChat({ userOf: (token) => token })
    const storage = memoryStorage()
    const auth = { getToken: () => Promise.resolve(who) }
    const shared = client('', { auth, storage })
    await advance(100)
    expect(shared.userId).toBe('amy')
    server.isDown = true
    server.cut()
    shared.conversation('ben').send('from amy')
    await advance(100)
    who = 'cleo'
    server.isDown = false
    await advance(60_000)
    expect(shared.userId).toBe('cleo')
    expect(rowsOf(shared, 'ben')).toEqual([])
    expect(server.log.of('cleo', 'ben').messages).toEqual([])
    who = 'amy'
    server.cut()
    await advance(60_000)
    expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(['from amy'])
  })
})

test('a message that closes the connection each time is set aside, and the nine behind it arrive', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  server.sendFault = ({ content }, userId) => {
    if (content === 'poison') server.cut(1009, userId)
    return content === 'poison' ? 'cut_before' : undefined
  }
  const poison = amy.conversation('ben').send('poison')
  const rest = numbers(1, 9).map((text) => amy.conversation('ben').send(text))
  await advance(60_000)
  expect(await poison.settled).toMatchObject({ outcome: 'failed', code: 'rejected_by_transport' })
  expect((await Promise.all(rest.map(({ settled }) => settled))).every(({ outcome }) => outcome === 'ok')).toBe(true)
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(numbers(1, 9))
})

test('a message that a proxy cuts off without a word is set aside after five connections, and no other with it', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  server.sendFault = ({ content }) => (content === 'poison' ? 'cut_before' : undefined)
  // Written in the same moment to other people: they are as suspect as it, until each is written alone.
  const others = numbers(1, 20).map((other) => amy.conversation(other).send('harmless'))
  const poison = amy.conversation('ben').send('poison')
  const rest = numbers(1, 9).map((text) => amy.conversation('ben').send(text))
  await advance(60_000)
  expect(await poison.settled).toMatchObject({ outcome: 'failed', code: 'rejected_by_transport' })
  expect(server.socketCount).toBeLessThanOrEqual(6)
  const outcomes = await Promise.all([...others, ...rest].map(({ settled }) => settled))
  expect(outcomes.filter(({ outcome }) => outcome !== 'ok')).toEqual([])
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(numbers(1, 9))
})

test('a message that meets four cuts of a bad network is sent all the same, and holds up no other meanwhile', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  let cuts = 0
  server.sendFault = ({ content }) => {
    if (content !== 'unlucky' || cuts >= 4) return undefined
    cuts += 1
    return 'cut_before'
  }
  const unlucky = amy.conversation('ben').send('unlucky')
  await advance(200)
  expect(cuts).toBe(1)
  for (let turn = 0; turn < 600 && cuts < 3; turn += 1) await advance(100)
  const other = amy.conversation('cat').send('meanwhile')
  for (let turn = 0; turn < 600 && other.status.get() !== 'sent' && cuts < 4; turn += 1) await advance(100)
  expect(other.status.get()).toBe('sent')
  await advance(60_000)
  expect([cuts, await unlucky.settled]).toMatchObject([4, { outcome: 'ok' }])
})

test('a clock that is an hour wrong, and is set while it waits, changes nothing', async () => {
  const { client, server, advance } = fakeChat({ userOf: (token) => token, tokenLifetimeMs: 600_000 })
  const asked: string[] = []
  const clock = { ...server.clock, now: server.clock.now, after: server.clock.after, soon: server.clock.soon }
  let aheadMs = 3_600_000
  const getToken = ({ reason }: { reason: string }) => {
    asked.push(reason)
    return Promise.resolve('amy')
  }
  const amy = client('', { auth: { getToken }, clock: { ...clock, wall: () => server.clock.wall() + aheadMs } })
  await advance(1000)
  aheadMs = -3_600_000
  amy.conversation('ben').send('now')
  await advance(400_000)
  expect(asked).toEqual(['connect'])
  await advance(120_000)
  expect(asked).toEqual(['connect', 'refresh'])
  expect(amy.status.get().state).toBe('live')
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(['now'])
})

test('after a restore of the server it drops what is not there any more, and sends what waits', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  const messages = told(ben)
  const resets: string[] = []
  const epochs: string[] = []
  ben.on('reset', ({ with: other }) => resets.push(other))
  ben.on('epoch', ({ epoch }) => epochs.push(epoch))
  for (const text of ['1', '2', '3']) server.write('amy', 'ben', text)
  server.write('cleo', 'ben', 'stays')
  await advance(1000)
  server.isDown = true
  server.cut()
  // The backup held one message; meanwhile others were written in the place of the lost ones.
  const { messages: kept, delivered, read } = server.log.of('amy', 'ben')
  kept.length = 1
  delivered.set('ben', 1)
  read.set('ben', 0)
  server.epoch = 'second'
  ben.conversation('amy').send('waits')
  server.write('amy', 'ben', 'new 2')
  server.write('amy', 'ben', 'new 3')
  server.isDown = false
  const off = ben.conversation('amy').messages.subscribe(() => undefined)
  await advance(30_000)
  expect([resets, epochs]).toEqual([['amy'], ['second']])
  expect(contentsOf(ben.conversation('amy').messages.get())).toEqual(['1', 'new 2', 'new 3', 'waits'])
  expect(contentsOf(ben.conversation('cleo').messages.get())).toEqual(['stays'])
  expect(contentsOf(messages)).toEqual(['1', '2', '3', 'stays', 'new 2', 'new 3', 'waits'])
  expect(server.log.positions('ben', 'amy').delivered_seq).toBe(4)
  off()
})

test('a later kind of entry takes its number and shows nothing', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  const messages = told(ben)
  server.write('amy', 'ben', '1')
  await advance(100)
  server.frameFault = (frame) => (frame.content === 'reaction' ? 'drop' : undefined)
  server.write('amy', 'ben', 'reaction')
  server.push('ben', { type: 'reaction', with: 'amy', seq: 2, mark: '+1' })
  server.write('amy', 'ben', '3')
  await advance(400)
  expect(contentsOf(messages)).toEqual(['1', '3'])
  expect(rowsOf(ben, 'amy')).toEqual(['1 received', '3 received'])
  expect(server.log.positions('ben', 'amy').delivered_seq).toBe(3)
})

test('too many connections stop this one, without a reconnect loop, until the person says "here"', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  await advance(100)
  server.cut(4409)
  await advance(600_000)
  expect(ben.status.get()).toMatchObject({ state: 'stopped', why: 'replaced' })
  expect(server.socketCount).toBe(1)
  ben.connect()
  await advance(100)
  expect(ben.status.get().state).toBe('live')
})
