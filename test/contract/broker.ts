import { afterEach, describe, expect, test } from 'vitest'
import type { Broker, Envelope } from '../../src/delivery/broker.ts'
import { envelope, textOf } from '../support/builders.ts'
import { eventually } from '../support/cluster-instance.ts'
import { within } from '../support/deadline.ts'

export interface BrokersUnderTest {
  /** A further instance of the same cluster, with its connections standing. */
  connect(): Promise<Broker>
  close(): Promise<void>
}

interface Heard {
  readonly broker: Broker
  /** What arrived, as `user text`. */
  readonly got: string[]
  readonly marks: string[]
}

/** What every broker guarantees between the instances of one cluster. */
export function describeBroker(name: string, create: () => BrokersUnderTest): void {
  describe(`the ${name} broker`, () => {
    let cluster: BrokersUnderTest | undefined
    const instances = async (count: number): Promise<[Heard, Heard, Heard]> => {
      cluster = create()
      const heard: Heard[] = []
      for (let index = 0; index < count; index += 1) {
        const one: Heard = { broker: await cluster.connect(), got: [], marks: [] }
        one.broker.listen({
          received: (userId, envelopes) => {
            const list = userId === 'mark' ? one.marks : one.got
            list.push(...envelopes.map((each) => `${userId} ${textOf(each)}`))
          },
          gap: () => undefined,
          told: () => undefined,
        })
        heard.push(one)
      }
      return heard as [Heard, Heard, Heard]
    }
    const publish = (from: Heard, ...texts: [user: string, text: string][]): void => {
      for (const [user, text] of texts) from.broker.add(user, envelope(text))
      from.broker.flush()
    }
    /** Everything published before has arrived once this has, by every publisher. */
    const marked = async (from: Heard, to: Heard): Promise<void> => {
      const mark = crypto.randomUUID()
      await to.broker.subscribe('mark')
      publish(from, ['mark', mark])
      await eventually(() => to.marks.includes(`mark ${mark}`), 'the mark')
    }
    afterEach(async () => {
      await cluster?.close()
      cluster = undefined
    })

    test('brings a batch to all other instances that subscribed, whole and in order, never back to the publisher', async () => {
      const [one, two, three] = await instances(3)
      for (const { broker } of [one, two, three]) await broker.subscribe('ann')
      await two.broker.subscribe('bob')
      publish(one, ['ann', '1'], ['bob', '2'], ['ann', '3'], ['cid', '4'])
      await Promise.all([marked(one, two), marked(one, three), marked(two, one)])
      expect(one.got).toEqual([])
      expect(two.got.filter((text) => text.startsWith('ann'))).toEqual(['ann 1', 'ann 3'])
      expect(two.got.filter((text) => !text.startsWith('ann'))).toEqual(['bob 2'])
      expect(three.got).toEqual(['ann 1', 'ann 3'])
    })

    test('keeps the order of one publisher over many batches', async () => {
      const [one, two] = await instances(2)
      await two.broker.subscribe('ann')
      const sent = Array.from({ length: 2000 }, (_, index) => `ann ${index}`)
      for (let index = 0; index < sent.length; index += 1) {
        one.broker.add('ann', envelope(String(index)))
        if (index % 7 === 0) one.broker.flush()
        if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      one.broker.flush()
      await marked(one, two)
      expect(two.got).toEqual(sent)
    })

    test('carries a batch of so many users that they are too much for one function call', async () => {
      const [one, two] = await instances(2)
      const users = Array.from({ length: 70_000 }, (_, index) => `user${index}`)
      const some = users.filter((_, index) => index % 20 === 0)
      await Promise.all(some.map((user) => two.broker.subscribe(user)))
      for (const user of users) one.broker.add(user, envelope('x'.repeat(200)))
      one.broker.flush()
      await marked(one, two)
      expect(new Set(two.got).size).toBe(some.length)
    })

    test('sends nothing before the flush, nothing when there is nothing, and each batch once', async () => {
      const [one, two] = await instances(2)
      await two.broker.subscribe('ann')
      one.broker.flush()
      one.broker.add('ann', envelope('1'))
      await marked(two, one)
      expect(two.got).toEqual([])
      one.broker.flush()
      one.broker.flush()
      await marked(one, two)
      expect(two.got).toEqual(['ann 1'])
    })

    test('brings what may be lost at once, in its place between batches, and never back to the publisher', async () => {
      const [one, two] = await instances(2)
      for (const { broker } of [one, two]) await broker.subscribe('ann')
      publish(one, ['ann', '1'])
      one.broker.offer('ann', envelope('2'))
      publish(one, ['ann', '3'])
      await marked(one, two)
      expect([one.got, two.got]).toEqual([[], ['ann 1', 'ann 2', 'ann 3']])
    })

    test('delivers from the moment in which a subscription is confirmed', async () => {
      const [one, two] = await instances(2)
      for (let index = 0; index < 200; index += 1) {
        await two.broker.subscribe(`user${index}`)
        publish(one, [`user${index}`, 'at once'])
      }
      await marked(one, two)
      expect(two.got).toHaveLength(200)
    })

    test('ends where it was last told to be, however often that changed', async () => {
      const [one, two] = await instances(2)
      const users = Array.from({ length: 50 }, (_, index) => `user${index}`)
      const wanted = new Set<string>()
      const confirmed: Promise<void>[] = []
      for (let step = 0; step < 2000; step += 1) {
        const user = users[(step * 7919) % 50] ?? ''
        if ((step * 31) % 5 < 3) {
          confirmed.push(two.broker.subscribe(user))
          wanted.add(user)
        } else {
          two.broker.unsubscribe(user)
          wanted.delete(user)
        }
        if (step % 97 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      // Also those that were taken back in the same turn: somebody waits for each.
      await Promise.all(confirmed)
      await marked(one, two)
      publish(one, ...users.map((user): [string, string] => [user, 'end']))
      await marked(one, two)
      expect([...two.got].sort()).toEqual([...wanted].map((user) => `${user} end`).sort())
      expect(wanted.size).toBeGreaterThan(10)
    })

    test('leaves nobody waiting for a subscription that was taken back at once', async () => {
      const [one, two] = await instances(2)
      const confirmed = two.broker.subscribe('ann')
      two.broker.unsubscribe('ann')
      await within(confirmed, () => 'the subscription')
      publish(one, ['ann', '1'])
      await marked(one, two)
      expect(two.got).toEqual([])
    })

    test('subscribing twice is once, and once unsubscribed nothing comes', async () => {
      const [one, two] = await instances(2)
      await Promise.all([two.broker.subscribe('ann'), two.broker.subscribe('ann')])
      publish(one, ['ann', '1'])
      await marked(one, two)
      two.broker.unsubscribe('ann')
      two.broker.unsubscribe('nobody')
      await marked(two, one)
      await marked(one, two)
      publish(one, ['ann', '2'])
      await marked(one, two)
      expect(two.got).toEqual(['ann 1'])
    })

    test('passes on what a message is, and other events as they are', async () => {
      const [one, two] = await instances(2)
      const got: Envelope[] = []
      two.broker.listen({
        received: (_user, envelopes) => got.push(...envelopes),
        gap: () => undefined,
        told: () => undefined,
      })
      await two.broker.subscribe('ann')
      const sent: Envelope[] = [
        { json: '{"text":"ü\\n😀"}', message: { seq: 7, sender_id: 'bob', receiver_id: 'ann' } },
        { json: '{"a":1}' },
        { json: '{"b":2}' },
      ]
      for (const each of sent) one.broker.add('ann', each)
      one.broker.flush()
      await eventually(() => got.length === 3, 'all three')
      expect(got).toEqual(sent)
    })
  })
}
