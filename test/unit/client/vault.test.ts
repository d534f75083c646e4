import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/client/clock.ts'
import { MemoryStorage } from '../../../src/client/memory-storage.ts'
import type { Change, Storage, StorageDriver } from '../../../src/client/storage.ts'
import { Cell, Notifier } from '../../../src/client/stores.ts'
import { VirtualClock } from '../../../src/client/testing/virtual-clock.ts'
import type { StorageState } from '../../../src/client/types.ts'
import { Vault } from '../../../src/client/vault.ts'

/** Notes each write, and ends it when it is told to. */
class SlowStorage extends MemoryStorage {
  readonly writes: { readonly keys: string[]; readonly isStrict: boolean }[] = []
  #end: () => void = () => undefined

  override write(changes: readonly Change[], isStrict = false): Promise<void> {
    this.writes.push({ keys: changes.map((change) => ('key' in change ? change.key : '')), isStrict })
    return new Promise((resolve) => {
      this.#end = resolve
    })
  }

  end(): void {
    this.#end()
  }
}

const dropped = (...keys: string[]): Change[] => keys.map((key) => ({ remove: 'drafts', key }))
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))
const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function open() {
  const storage = new SlowStorage()
  const clock = systemClock()
  const state = new Cell<StorageState>(new Notifier(clock.soon, () => undefined), { kind: 'opening' })
  const driver = { kind: 'persistent', open: () => Promise.resolve(storage) } as const
  const vault = new Vault('test', { driver, clock, state, warn: () => undefined })
  await vault.open()
  return { storage, vault }
}

test('what comes while a write is under way is kept together, in order, and as safely as the strictest of it', async () => {
  const { storage, vault } = await open()
  const first = vault.write(dropped('a'))
  await turns()
  const relaxed = vault.write(dropped('b', 'c'))
  const strict = vault.write(dropped('d'), true)
  const last = vault.write(dropped('e'))
  let isKept = false
  void strict.then(() => {
    isKept = true
  })
  storage.end()
  await first
  await turns()
  expect(storage.writes).toEqual([
    { keys: ['a'], isStrict: false },
    { keys: ['b', 'c', 'd', 'e'], isStrict: true },
  ])
  expect(isKept).toBe(false)
  storage.end()
  await Promise.all([relaxed, strict, last])
  const next = vault.write(dropped('f'))
  await turns()
  expect(storage.writes[2]).toEqual({ keys: ['f'], isStrict: false })
  storage.end()
  await next
})

test('one write is never larger than a hundred rows, however much waits, and all of it is kept in order', async () => {
  const { storage, vault } = await open()
  const writes = [vault.write(dropped('first'))]
  await turns()
  const [some, many] = [numbers(130), numbers(250).map((key) => `m${key}`)]
  for (const key of some) writes.push(vault.write(dropped(key)))
  let isKept = false
  const last = vault.write(dropped(...many)).then(() => {
    isKept = true
  })
  for (let count = 0; count < 6; count += 1) {
    expect(isKept).toBe(false)
    storage.end()
    await turns()
  }
  await Promise.all([...writes, last])
  expect(storage.writes.map(({ keys }) => keys.length)).toEqual([1, 100, 30, 100, 100, 50])
  expect(storage.writes.flatMap(({ keys }) => keys)).toEqual(['first', ...some, ...many])
})

test('what says that messages are there, and that they wait no more, is one write after all of them', async () => {
  const { storage, vault } = await open()
  const changes = numbers(130).flatMap((id, seq): Change[] => [
    {
      put: 'messages',
      row: { id, seq, with: 'amy', sender_id: 'ben', receiver_id: 'amy', content: '', created_at: '' },
    },
    ...(seq % 10 === 0 ? dropped(id) : []),
  ])
  const written = vault.write([...changes, ...dropped('conversation')])
  for (let count = 0; count < 3; count += 1) {
    await turns()
    storage.end()
  }
  await written
  expect(storage.writes.map(({ keys }) => keys.filter((key) => key !== '').length)).toEqual([0, 14])
  expect(storage.writes.map(({ keys }) => keys.length)).toEqual([100, 30 + 14])
})

describe('a storage that does not answer any more', () => {
  const never = (): Promise<never> => new Promise(() => undefined)

  async function stuck(
    methods: Partial<Storage>,
    reopened: Partial<Storage> = methods,
    removing?: () => Promise<void>,
  ) {
    const clock = new VirtualClock()
    const state = new Cell<StorageState>(new Notifier(clock.soon, () => undefined), { kind: 'opening' })
    const storages: MemoryStorage[] = []
    const removed: string[] = []
    const driver: StorageDriver = {
      kind: 'persistent',
      open() {
        const storage = Object.assign(new MemoryStorage(), storages.length === 0 ? methods : reopened)
        storages.push(storage)
        return Promise.resolve(storage)
      },
      remove: (name) => removing?.() ?? Promise.resolve(void removed.push(name)),
    }
    const vault = new Vault('test', { driver, clock, state, warn: () => undefined })
    await vault.open()
    return { vault, clock, state, storages, removed }
  }

  test('is opened anew, and the write is made there', async () => {
    const { vault, clock, state, storages } = await stuck({ write: never }, {})
    const row = { with: 'amy', text: 'half' }
    const written = vault.write([{ put: 'drafts', row }], true)
    await clock.advance(3001)
    await written
    expect(state.get()).toEqual({ kind: 'persistent' })
    expect((await storages[1]?.load())?.drafts).toEqual([row])
  })

  test('gives way to memory when it does not answer then either', async () => {
    const { vault, clock, state } = await stuck({ write: never })
    const written = vault.write(dropped('a'), true)
    await clock.advance(6001)
    await written
    expect(state.get()).toEqual({ kind: 'memory', why: 'write' })
    await vault.write(dropped('b'))
    await vault.close()
  })

  test('does not say that nothing is there', async () => {
    const { vault, clock } = await stuck({ messages: never })
    const found = vault.messages('amy', 1, 2)
    await clock.advance(3001)
    expect(await found).toBeUndefined()
  })

  test('is removed at a logout, also when the client went on in memory', async () => {
    const { vault, clock, removed } = await stuck({ write: never })
    const written = vault.write(dropped('a'))
    await clock.advance(6001)
    await written
    await vault.destroy()
    expect(removed).toEqual(['test'])
  })

  test('and that other tabs block is left at a logout after three seconds', async () => {
    const { vault, clock } = await stuck({}, {}, never)
    const left = (async () => {
      await vault.destroy()
      return 'left'
    })()
    await clock.advance(3001)
    expect(await left).toBe('left')
  })
})
