// Two people with two devices each, everything going wrong at random, devices killed and started again from what they kept.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Change, type Client, createClientWith, type StorageDriver } from '../../../src/client/index.ts'
import { MemoryStorage } from '../../../src/client/memory-storage.ts'
import { FakeServer, seededRandom } from '../../../src/client/testing/index.ts'

/** What survives a kill: writes of a killed device reach it no more. */
class Disk extends MemoryStorage {
  isDead = false
  readonly seqs = new Map<string, Set<number>>()

  override write(changes: readonly Change[]): Promise<void> {
    if (this.isDead) return new Promise(() => undefined)
    for (const change of changes) {
      if ('forget' in change) this.seqs.delete(change.forget)
      if (!('put' in change) || change.put !== 'messages') continue
      const { with: other, seq } = change.row
      this.seqs.set(other, (this.seqs.get(other) ?? new Set()).add(seq))
    }
    return super.write(changes)
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
    for (const [other, seqs] of this.seqs)
      for (const message of await this.messages(other, 1, Math.max(...seqs)))
        await disk.write([{ put: 'messages', row: { ...message, with: other } }])
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
  /** Seqs in the order shown; a restart is marked by 0. */
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
    const storage: StorageDriver = { kind: 'persistent', open: () => Promise.resolve(disk) }
    const client = createClientWith({
      ...{ url: 'ws://fake.test/ws', auth: { userId: this.user }, WebSocket: this.#server.WebSocket, storage },
      ...{ clock: this.#server.clock, random: seededRandom(this.#seed) },
    })
    client.on('message', ({ seq }) => {
      if (!disk.isDead) this.shown.push(seq)
    })
    client.on('reset', () => {
      this.resets += 1
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
  readonly kind: 'send' | 'cut' | 'mute' | 'kill' | 'read' | 'wait' | 'down' | 'up'
  readonly device: number
  readonly ms: number
}
const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom<Act['kind']>(
    'send',
    'send',
    'send',
    'send',
    'cut',
    'mute',
    'kill',
    'read',
    'wait',
    'down',
    'up',
  ),
  device: fc.nat(3),
  ms: fc.oneof(fc.nat(30), fc.nat(3000)),
})

test('nothing is lost, doubled, out of order, acknowledged but not kept, or stuck', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 60 }), fc.nat(1_000_000), async (acts, seed) => {
      const server = new FakeServer({ seed, latencyMs: 2 })
      const random = seededRandom(seed)
      server.frameFault = ({ type }) => {
        const dice = random()
        if (type !== 'message' || dice > 0.3) return undefined
        return dice < 0.1 ? 'drop' : dice < 0.2 ? 'double' : { delayMs: random() * 900 }
      }
      server.sendFault = () => {
        const dice = random()
        if (dice < 0.1) return 'cut_before'
        if (dice < 0.2) return 'cut_after'
        return dice < 0.3 ? { error: 'overloaded', retryAfterMs: 100 } : undefined
      }
      const devices = [0, 1, 2, 3].map((index) => new Device(server, PEOPLE[index % 2] ?? 'ann', seed + index))
      let looked = 0
      const look = (): void => {
        for (; looked < server.commands.length; looked += 1) checkAck(server, devices, looked)
      }
      for (const [at, { kind, device: index, ms }] of acts.entries()) {
        const device = devices[index] as Device
        if (kind === 'send') device.send(`${index} ${at}`)
        else if (kind === 'cut') server.cut(1006, device.user)
        else if (kind === 'mute') server.mute(device.user)
        else if (kind === 'kill') await device.kill()
        else if (kind === 'read') device.client.conversation(otherOf(device.user)).markRead(device.shown.at(-1) ?? 0)
        else if (kind !== 'wait') server.isDown = kind === 'down'
        await server.clock.advance(ms)
        look()
      }
      server.isDown = false
      server.frameFault = () => undefined
      server.sendFault = () => undefined
      await server.clock.advance(200_000)
      look()
      judge(server, devices)
      for (const { client } of devices) await client.close()
    }),
    { seed: 19_111, numRuns: 25 },
  )
})

/** An acknowledgement speaks for what the disks of this person have; an own message may still be in the outbox. */
function checkAck(server: FakeServer, devices: readonly Device[], index: number): void {
  const entry = server.commands[index]
  if (entry?.command.type !== 'ack' && entry?.command.type !== 'read') return
  const { with: other, seq } = entry.command
  const user = otherOf(other)
  const disks = devices.filter((device) => device.user === user).map(({ disk }) => disk)
  const missing = server.log
    .of('ann', 'bob')
    .messages.slice(0, seq)
    .filter((message) => message.sender_id !== user && !disks.some(({ seqs }) => seqs.get(other)?.has(message.seq)))
  expect(missing, `${user} has acknowledged ${seq}`).toEqual([])
}

function judge(server: FakeServer, devices: readonly Device[]): void {
  const { messages } = server.log.of('ann', 'bob')
  const texts = messages.map(({ content }) => content)
  expect(new Set(texts).size, 'doubled').toBe(texts.length)
  for (const device of devices) {
    const places = device.typed.map((text) => texts.indexOf(text))
    expect(places, 'lost or out of order').toEqual(places.toSorted((a, b) => a - b))
    expect(places, 'lost').not.toContain(-1)
    expect(device.client.pending.get(), 'stuck').toBe(0)
    expect(device.resets, 'dropped').toBe(0)
    let last: number | undefined
    let mayRepeat = true
    for (const seq of device.shown) {
      if (seq === 0) mayRepeat = true
      else {
        const isNext = last === undefined || seq === last + 1 || (mayRepeat && seq <= last)
        expect(isNext, `${seq} after ${last} in ${device.shown}`).toBe(true)
        mayRepeat = false
        last = seq
      }
    }
    if (device.shown.some((seq) => seq > 0)) expect(last, `behind: ${device.shown}`).toBe(messages.length)
  }
}
