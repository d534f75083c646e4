// Two people with two devices each, everything going wrong at random, devices killed and started again from what they kept, and the
// database of the server set back.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Change,
  type Client,
  createClientWith,
  type Message,
  type StorageDriver,
} from '../../../src/client/index.ts'
import { MemoryStorage } from '../../../src/client/memory-storage.ts'
import { FakeServer, seededRandom } from '../../../src/client/testing/index.ts'

/** What survives a kill: writes of a killed device reach it no more. */
class Disk extends MemoryStorage {
  isDead = false
  /** The id of each message that is kept, by conversation and number. */
  readonly ids = new Map<string, Map<number, string>>()
  /** Up to here the person has said to have read what this device has; and what that is. */
  mark = 0
  readonly marked = new Set<string>()

  override write(changes: readonly Change[]): Promise<void> {
    if (this.isDead) return new Promise(() => undefined)
    for (const change of changes) {
      if (!('put' in change) || change.put !== 'messages') continue
      const { with: other, seq, id } = change.row
      this.ids.set(other, (this.ids.get(other) ?? new Map()).set(seq, id))
      this.markRead(this.mark)
    }
    return super.write(changes)
  }

  markRead(seq: number): void {
    this.mark = seq
    for (const ids of this.ids.values()) for (const [one, id] of ids) if (one <= seq) this.marked.add(id)
  }

  /** The same disk under a device that is started again. */
  async copy(): Promise<Disk> {
    const disk = new Disk()
    const { conversations, outbox, drafts, meta } = await this.load()
    await disk.write([
      ...conversations.map((row) => ({ put: 'conversations', row }) as const),
      ...outbox.map((row) => ({ put: 'outbox', row }) as const),
      ...drafts.map((row) => ({ put: 'drafts', row }) as const),
      ...meta.map((row) => ({ put: 'meta', row }) as const),
    ])
    for (const [other, ids] of this.ids)
      for (const message of await this.messages(other, 1, Math.max(...ids.keys())))
        await disk.write([{ put: 'messages', row: { ...message, with: other } }])
    for (const id of this.marked) disk.marked.add(id)
    return disk
  }
}

const PEOPLE = ['ann', 'bob'] as const
const otherOf = (user: string): string => (user === 'ann' ? 'bob' : 'ann')

class Device {
  readonly user: string
  readonly #server: FakeServer
  readonly #seed: number
  disk = new Disk()
  client: Client
  /** Seqs in the order shown; a restart is marked by 0, and a conversation that is fetched anew by -1. */
  readonly shown: number[] = []
  readonly typed: string[] = []
  resets = 0

  constructor(server: FakeServer, user: string, seed: number) {
    this.#server = server
    this.user = user
    this.#seed = seed
    this.client = this.#start()
  }

  #start(): Client {
    const { disk } = this
    const { WebSocket, fetch, clock } = this.#server
    const storage: StorageDriver = { kind: 'persistent', open: () => Promise.resolve(disk) }
    const client = createClientWith({
      ...{ url: 'ws://fake.test/ws', auth: { userId: this.user }, WebSocket, fetch, storage },
      ...{ clock, random: seededRandom(this.#seed) },
    })
    client.on('message', ({ seq }) => {
      if (!disk.isDead) this.shown.push(seq)
    })
    client.on('reset', () => {
      this.resets += 1
      disk.mark = 0
      if (!disk.isDead) this.shown.push(-1)
    })
    return client
  }

  send(text: string): void {
    const { saved } = this.client.conversation(otherOf(this.user)).send(text)
    const { disk } = this
    void saved.then(() => {
      if (!disk.isDead) this.typed.push(text)
    })
  }

  /** The person reads what is shown; what they have of it on other devices is read too. */
  read(devices: readonly Device[]): void {
    const seq = this.shown.at(-1) ?? 0
    if (seq <= 0) return
    for (const { user, disk } of devices) if (user === this.user) disk.markRead(Math.max(seq, disk.mark))
    this.client.conversation(otherOf(this.user)).markRead(seq)
  }

  /** As by a signal: nothing more is written, anywhere. */
  async kill(): Promise<void> {
    this.disk.isDead = true
    const disk = await this.disk.copy()
    void this.client.close()
    this.disk = disk
    this.shown.push(0)
    this.client = this.#start()
  }
}

interface Act {
  readonly kind: 'send' | 'cut' | 'mute' | 'kill' | 'read' | 'wait' | 'down' | 'up' | 'rewind'
  readonly device: number
  readonly ms: number
}
const KINDS = ['send', 'send', 'send', 'send', 'cut', 'mute', 'kill', 'read', 'wait', 'down', 'up'] as const
const acting = (kinds: readonly Act['kind'][]): fc.Arbitrary<Act> =>
  fc.record({ kind: fc.constantFrom(...kinds), device: fc.nat(3), ms: fc.oneof(fc.nat(30), fc.nat(3000)) })

test.each([
  ['', KINDS, 19_111, 25],
  [', though the database is set back', [...KINDS, 'cut', 'rewind', 'rewind'] as const, 19_112, 60],
])(
  'nothing is lost, doubled, out of order, acknowledged but not kept, or stuck%s',
  async (_, kinds, fuzzSeed, numRuns) => {
    const act = acting(kinds)
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 60 }), fc.nat(1_000_000), async (acts, seed) => {
        const server = new FakeServer({ seed, latencyMs: 2 })
        const random = seededRandom(seed)
        server.frameFault = ({ type }) => {
          const dice = random()
          if (type !== 'message' || dice > 0.3) return undefined
          return dice < 0.1 ? 'drop' : dice < 0.2 ? 'double' : { delayMs: random() * 900 }
        }
        const past: Past = { lost: new Set(), acked: { ann: 0, bob: 0 } }
        server.sendFault = () => {
          const dice = random()
          if (dice < 0.1) return 'cut_before'
          if (dice < 0.2) return 'cut_after'
          return dice < 0.3 ? { error: 'overloaded', retryAfterMs: 100 } : undefined
        }
        const devices = [0, 1, 2, 3].map((index) => new Device(server, PEOPLE[index % 2] ?? 'ann', seed + index))
        let looked = 0
        const look = (): void => {
          for (; looked < server.commands.length; looked += 1) checkAck(server, devices, looked, past)
        }
        for (const [at, { kind, device: index, ms }] of acts.entries()) {
          const device = devices[index] as Device
          if (kind === 'send') device.send(`${index} ${at}`)
          else if (kind === 'cut') server.cut(1006, device.user)
          else if (kind === 'mute') server.mute(device.user)
          else if (kind === 'kill') await device.kill()
          else if (kind === 'read') device.read(devices)
          else if (kind === 'rewind') rewind(server, ms % 4, past)
          else if (kind !== 'wait') server.isDown = kind === 'down'
          await server.clock.advance(ms)
          look()
        }
        server.isDown = false
        server.frameFault = () => undefined
        server.sendFault = () => undefined
        await server.clock.advance(200_000)
        look()
        await judge(server, devices, past)
        for (const { client } of devices) await client.close()
      }),
      { seed: fuzzSeed, numRuns, endOnFailure: true },
    )
  },
  60_000,
)

/** What a database that was set back does not know any more. */
interface Past {
  readonly lost: Set<string>
  /** How far each person was said to be. */
  readonly acked: Record<string, number>
}

function rewind(server: FakeServer, lost: number, { lost: texts, acked }: Past): void {
  const { messages } = server.log.of('ann', 'bob')
  if (lost > 0) for (const { content } of messages.slice(-lost)) texts.add(content)
  server.setBack(lost)
  for (const user of PEOPLE) {
    const { delivered_seq } = server.log.positions(user, otherOf(user))
    acked[user] = Math.min(acked[user] ?? 0, delivered_seq)
  }
}

/** What is acknowledged is on the disks of this person, what is read was shown there; an own message may still be in the outbox. */
function checkAck(server: FakeServer, devices: readonly Device[], index: number, { acked }: Past): void {
  const entry = server.commands[index]
  if (entry?.command.type !== 'ack' && entry?.command.type !== 'read') return
  const { with: other, seq, type } = entry.command
  const user = otherOf(other)
  const disks = devices.filter((device) => device.user === user).map(({ disk }) => disk)
  const { messages } = server.log.of('ann', 'bob')
  const from = acked[user] ?? 0
  const missing = messages
    .slice(from, Math.max(from, seq))
    .filter((one) => one.sender_id !== user && !disks.some(({ ids }) => ids.get(other)?.get(one.seq) === one.id))
  expect(missing, `${user} has acknowledged ${seq}`).toEqual([])
  acked[user] = Math.max(from, seq)
  const last = messages[seq - 1]
  const isSeen = last?.sender_id === user || disks.some(({ marked }) => marked.has(last?.id ?? ''))
  if (type === 'read') expect(isSeen, `${user} has read ${seq}`).toBe(true)
}

async function judge(server: FakeServer, devices: readonly Device[], { lost }: Past): Promise<void> {
  const { messages } = server.log.of('ann', 'bob')
  const texts = messages.map(({ content }) => content)
  expect(new Set(texts).size, 'doubled').toBe(texts.length)
  for (const device of devices) {
    const places = device.typed.map((text) => texts.indexOf(text))
    const found = places.filter((place) => place >= 0)
    expect(found, 'out of order').toEqual(found.toSorted((a, b) => a - b))
    expect(
      device.typed.filter((text) => !texts.includes(text) && !lost.has(text)),
      'lost',
    ).toEqual([])
    expect(device.client.pending.get(), 'stuck').toBe(0)
    if (lost.size === 0) expect(device.resets, 'dropped').toBe(0)
    checkOrder(device.shown, messages.length)
    await checkKept(device, messages)
  }
}

function checkOrder(shown: readonly number[], length: number): void {
  let last: number | undefined
  let mayRepeat = true
  for (const seq of shown) {
    if (seq === -1) last = undefined
    if (seq <= 0) mayRepeat = true
    else {
      const isNext = last === undefined || seq === last + 1 || (mayRepeat && seq <= last)
      expect(isNext, `${seq} after ${last} in ${shown}`).toBe(true)
      mayRepeat = false
      last = seq
    }
  }
  if (last !== undefined) expect(last, `behind: ${shown}`).toBe(length)
}

/** What is shown and what is kept is what the server has under these numbers, up to its last. */
async function checkKept({ disk, client, user }: Device, messages: readonly Message[]): Promise<void> {
  const other = otherOf(user)
  const ids = messages.map(({ id }) => id)
  for (const { seq, id } of client.conversation(other).messages.get())
    expect(id, `${user} shows ${seq}`).toBe(ids[(seq ?? 0) - 1])
  for (const { ranges, last_seq } of (await disk.load()).conversations) {
    expect(last_seq, 'the last').toBe(messages.length)
    for (const [first, last] of ranges)
      for (let seq = first; seq <= last; seq += 1)
        expect(disk.ids.get(other)?.get(seq), `${user} keeps ${seq}`).toBe(ids[seq - 1])
    if (ranges.length > 0) expect(ranges.at(-1)?.[1], 'the head').toBe(messages.length)
  }
}
