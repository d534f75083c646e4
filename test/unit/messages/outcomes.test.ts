import { describe, expect, test } from 'vitest'
import type { CommitListener } from '../../../src/messages/commit-feed.ts'
import type { QueuedSend } from '../../../src/messages/send-queue.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { messagesOver } from '../../support/messages.ts'
import { type Outcome, ScriptedStore } from '../../support/scripted-store.ts'

/** What a listener was told, in order; fails at the items for which `fails` says so. */
class Recorder implements CommitListener {
  readonly heard: string[]
  readonly #fails: (item: string) => boolean

  constructor(heard: string[] = [], fails: (item: string) => boolean = () => false) {
    this.heard = heard
    this.#fails = fails
  }

  message({ content, seq }: QueuedSend): void {
    this.#hear(`${content} is ${seq}`)
  }
  position({ user, delivered }: { user: string; delivered: number }): void {
    this.#hear(`${user} has ${delivered}`)
  }
  batchDone(): void {
    this.#hear('done')
  }

  #hear(item: string): void {
    this.heard.push(item)
    if (this.#fails(item)) throw new Error(`a listener that fails at ${item}`)
  }
}

function bench(listeners: readonly CommitListener[] = [], store = new ScriptedStore()) {
  const clock = new FakeClock()
  const all = messagesOver({ store, clock, listeners })
  const told: string[] = []
  /** Ann sends to Bob. */
  const send = (content: string, { id, fails = false }: { id?: string | undefined; fails?: boolean } = {}) =>
    all.messages.send(
      'ann',
      { receiver_id: 'bob', content, id },
      {
        settled: ({ refusal, fate }) => {
          told.push(`${content} ${refusal ?? fate}`)
          if (fails) throw new Error('a sender that fails')
        },
      },
    )
  return { ...all, clock, store, told, send }
}

describe('a batch', () => {
  test('is told to every sender first, and then to every listener in its order', async () => {
    const order: string[] = []
    const { send, messages, told } = bench([new Recorder(order)])
    for (const content of ['one', 'two']) send(content)
    await settled()
    await messages.advance('bob', { type: 'ack', with: 'ann', seq: 1 }, { line: 0 })
    order.length = 0
    const push = told.push.bind(told)
    told.push = (item) => order.push(`sender: ${item}`) && push(item)
    for (const content of ['three', 'four']) send(content)
    await settled()
    expect(order).toEqual([
      'sender: three stored',
      'sender: four stored',
      'three is 3',
      'four is 4',
      'bob has 1',
      'done',
    ])
  })

  test('with a sender who cannot be told is told to all the others', async () => {
    const recorder = new Recorder()
    const { send, told, counted } = bench([recorder])
    send('one')
    send('two', { fails: true })
    send('three')
    await settled()
    expect(told).toEqual(['one stored', 'two stored', 'three stored'])
    expect(counted).toEqual(['stored', 'stored', 'stored'])
    expect(recorder.heard).toEqual(['one is 1', 'two is 2', 'three is 3', 'done'])
  })

  test.each(['one is 1', 'two is 2', 'bob has 1', 'done'])(
    'keeps nothing from senders and other listeners when one fails at "%s"',
    async (item) => {
      const [failing, healthy] = [new Recorder([], (heard) => heard === item), new Recorder()]
      const { send, messages, told } = bench([failing, healthy])
      send('one')
      send('two')
      await settled()
      await messages.advance('bob', { type: 'ack', with: 'ann', seq: 1 }, { line: 0 })
      send('three')
      await settled()
      const all = ['one is 1', 'two is 2', 'done', 'three is 3', 'bob has 1', 'done']
      expect(healthy.heard).toEqual(all)
      expect(failing.heard).toEqual(all)
      expect(told).toEqual(['one stored', 'two stored', 'three stored'])
    },
  )
})

describe('listeners', () => {
  test.each<[Outcome, string]>([
    ['unknown-stored', 'duplicate'],
    ['unknown-lost', 'stored'],
  ])('hear once of a send whose commit was %s', async (outcome, fate) => {
    const recorder = new Recorder()
    const { send, told, store, clock, heads } = bench([recorder])
    store.outcomes.push(outcome)
    send('one')
    await clock.advance(1000)
    expect(told).toEqual([`one ${fate}`])
    expect(recorder.heard).toEqual(['one is 1', 'done'])
    expect(heads.of({ key: 'ann bob', lo: 'ann', hi: 'bob' })).toBe(1)
  })

  test('hear once of a repeat that nobody here has heard of: the instance that stored it may have told nobody', async () => {
    const died = bench()
    const id = died.send('one')
    await settled()
    const recorder = new Recorder()
    const { send, told, heads } = bench([recorder], died.store)
    send('one', { id })
    send('one', { id })
    await settled()
    send('one', { id })
    await settled()
    expect(told).toEqual(['one duplicate', 'one duplicate', 'one duplicate'])
    expect(recorder.heard.filter((item) => item !== 'done')).toEqual(['one is 1'])
    expect(heads.of({ key: 'ann bob', lo: 'ann', hi: 'bob' })).toBe(1)
  })

  test('hear nothing of an old repeat, although nobody here has heard of it: all that followed would seem to be missing', async () => {
    const died = bench()
    const id = died.send('one')
    died.send('two')
    await settled()
    const recorder = new Recorder()
    const { send, told } = bench([recorder], died.store)
    send('one', { id })
    await settled()
    expect(told).toEqual(['one duplicate'])
    expect(recorder.heard).toEqual(['done'])
  })

  test('hear nothing of a repeat, a conflict or a refusal', async () => {
    const recorder = new Recorder()
    const { send, told } = bench([recorder])
    const id = send('one')
    await settled()
    recorder.heard.length = 0
    send('one', { id })
    send('other', { id })
    send('bad')
    await settled()
    expect(told.slice(1).sort()).toEqual(['bad invalid_text', 'one duplicate', 'other conflict'])
    expect(recorder.heard.filter((item) => item !== 'done')).toEqual([])
  })
})

describe('what became of each send is counted', () => {
  test('also when the writer takes no more', async () => {
    const { send, told, writer, counted } = bench()
    await writer.close(1000)
    expect(send('late')).toBeUndefined()
    expect(told).toEqual(['late unavailable'])
    expect(counted).toEqual(['unavailable'])
  })

  test('also when there is no room', async () => {
    const clock = new FakeClock()
    const store = new ScriptedStore()
    store.outcomes.push('hang')
    const { messages, counted } = messagesOver({ store, clock, listeners: [], limits: { maxQueueRows: 1 } })
    const send = () => messages.send('ann', { receiver_id: 'bob', content: 'x' }, { settled: () => undefined })
    send()
    await settled()
    send()
    expect(send()).toBeUndefined()
    expect(counted).toEqual(['overloaded'])
  })
})
