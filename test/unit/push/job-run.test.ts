// What becomes of one job, by what the push services answer.
import { expect, test } from 'vitest'
import type { PushFate } from '../../../src/push/answer.ts'
import type { PushMessage } from '../../../src/push/delivery.ts'
import { brokenJob, runJob } from '../../../src/push/job-run.ts'
import { heldJob, PUSH_KEYS, target } from '../../support/push-jobs.ts'

interface Scene {
  /** What each target's push service answers, one after the other; the last is repeated. */
  readonly fates?: Readonly<Record<string, readonly PushFate[]>>
  readonly closedSeconds?: number
  readonly isTrusted?: boolean
  /** The host has enough under way. */
  readonly isFull?: boolean
}

function scene({ fates = {}, closedSeconds = 0, isTrusted = true, isFull = false }: Scene = {}) {
  const pushed: (PushMessage & {
    readonly id: string
    readonly data: { readonly kind: string; readonly with?: string }
  })[] = []
  const asked = new Map<string, number>()
  const underWay: string[] = []
  const options = {
    delivery: {
      push: async ({ id }: { readonly id: string }, message: PushMessage): Promise<PushFate> => {
        pushed.push({ ...message, id, data: JSON.parse(message.payload.toString('utf8')) })
        const count = asked.get(id) ?? 0
        asked.set(id, count + 1)
        const list = fates[id] ?? ['sent']
        return list[Math.min(count, list.length - 1)] ?? 'sent'
      },
    },
    breaker: { closedSeconds: () => closedSeconds, isTrusted: () => isTrusted },
    load: {
      isFull: () => isFull,
      begin: (host: string) => {
        underWay.push(host)
        return () => void underWay.splice(underWay.indexOf(host), 1)
      },
    },
    keys: { current: PUSH_KEYS },
    pageUrl: 'https://chat.test',
    ttlSeconds: 86_400,
    random: () => 0.5,
  }
  return { pushed, underWay, run: (job = heldJob()) => runJob(job, options) }
}

const two = [target('a'), target('b')]

test('everybody is told, and it is done', async () => {
  const { pushed, run } = scene()
  const ran = await run(heldJob({ targets: two, ageSeconds: 100.5 }))
  expect(ran).toEqual({
    end: { end: 'done', isPushed: true },
    verdicts: [
      { id: 'a', kind: 'sent' },
      { id: 'b', kind: 'sent' },
    ],
    outcome: 'sent',
  })
  expect(pushed).toMatchObject([
    { id: 'a', urgency: 'high', ttlSeconds: 86_300, data: { kind: 'notify', with: 'ann' } },
    { id: 'b', topic: pushed[0]?.topic },
  ])
})

test('one that fails is tried again alone, later each time, and the others are named with who was told now', async () => {
  const { run } = scene({ fates: { b: ['failed'] } })
  const first = await run(heldJob({ targets: two }))
  expect(first).toMatchObject({
    end: { end: 'again', isPushed: true, afterSeconds: 5, isFailure: true, sentTo: ['a'] },
    outcome: 'sent',
  })
  const second = await run(heldJob({ targets: [target('b')], sentTo: ['a'], attempts: 1 }))
  expect(second).toEqual({
    end: { end: 'again', isPushed: false, afterSeconds: 30, isFailure: true, sentTo: ['a'] },
    verdicts: [],
    outcome: 'waits',
  })
})

test('what nobody was told of now is not pushed now, whoever was told before', async () => {
  const { run } = scene({ fates: { b: ['gone'] } })
  expect(await run(heldJob({ targets: [target('b')], sentTo: ['a'] }))).toEqual({
    end: { end: 'done', isPushed: false },
    verdicts: [{ id: 'b', kind: 'gone' }],
    outcome: 'cancelled',
  })
})

test('one that is too old is given up', async () => {
  const { run } = scene({ fates: { a: ['failed'] } })
  expect(await run(heldJob({ ageSeconds: 86_400 }))).toMatchObject({
    end: { end: 'done', isPushed: false },
    outcome: 'given_up',
  })
})

test('what is not needed asks nobody: it is void, or stays as what is on the screen', async () => {
  const { pushed, run } = scene()
  expect((await run(heldJob({ isNeeded: false }))).end).toEqual({ end: 'void' })
  for (const kind of ['notify', 'clear'] as const) {
    const { end } = await run(heldJob({ isNeeded: false, wasPushed: true, kind }))
    expect(end).toEqual({ end: 'kept' })
  }
  expect(pushed).toEqual([])
})

test.each([
  ['a host that another instance was told to leave alone', target('a', { closedSeconds: 100 }), 0],
  ['a host that this one leaves alone', target('a'), 100],
  ['somebody who was told enough', target('a', { spentSeconds: 100 }), 0],
])('%s waits, which is no failure', async (_, one, closedSeconds) => {
  const { pushed, run } = scene({ closedSeconds })
  const { end, outcome } = await run(heldJob({ targets: [one] }))
  // With half of the spread.
  expect(end).toEqual({ end: 'again', isPushed: false, afterSeconds: 102.5, isFailure: false, sentTo: [] })
  expect([pushed, outcome]).toEqual([[], 'waits'])
})

test('a push service that has enough under way is left alone for a moment, which is no failure', async () => {
  const { pushed, run } = scene({ isFull: true })
  expect((await run()).end).toEqual({ end: 'again', isPushed: false, afterSeconds: 7.5, isFailure: false, sentTo: [] })
  expect(pushed).toEqual([])
})

test('what is under way is so until it is answered', async () => {
  const { underWay, run } = scene()
  const running = run(heldJob({ targets: two }))
  expect(underWay).toEqual(['fcm.googleapis.com', 'fcm.googleapis.com'])
  await running
  expect(underWay).toEqual([])
})

test('what is too large goes without names, once', async () => {
  const { pushed, run } = scene({ fates: { a: ['too_large', 'sent'] } })
  expect((await run()).end).toMatchObject({ end: 'done', isPushed: true })
  expect(pushed.map(({ data }) => data.with)).toEqual(['ann', undefined])
  const never = scene({ fates: { a: ['too_large'] } })
  expect(await never.run()).toMatchObject({ end: { end: 'done', isPushed: false }, verdicts: [] })
  expect(never.pushed).toHaveLength(2)
})

test('refusals count where the host takes others, and not while it takes nobody', async () => {
  for (const isTrusted of [true, false]) {
    const { run } = scene({ fates: { a: ['refused'], b: ['bad'] }, isTrusted })
    const { end, verdicts } = await run(heldJob({ targets: two }))
    // What is bad would be so again; who is refused may be taken later.
    expect(end).toMatchObject({ end: 'again', isPushed: false, isFailure: true, sentTo: ['b'] })
    expect(verdicts.map(({ kind }) => kind)).toEqual(isTrusted ? ['refused', 'refused'] : [])
  }
})

test('a notification is taken away silently, only where that does no harm and while there are some left', async () => {
  const { pushed, run } = scene({ fates: { d: ['failed'] } })
  const targets = [
    target('a'),
    target('b', { host: 'web.push.apple.com' }),
    target('c', { clearsLeft: 0 }),
    target('d'),
  ]
  // What fails is tried again for two hours.
  const clear = heldJob({ kind: 'clear', targets, sentTo: ['e'] })
  const { end, ...ran } = await run(clear)
  const sentTo = ['e', 'a', 'b', 'c']
  expect(end).toEqual({ end: 'again', isPushed: true, afterSeconds: 5, isFailure: true, sentTo })
  expect(ran).toEqual({ verdicts: [{ id: 'a', kind: 'clear' }], outcome: 'sent' })
  expect(pushed).toMatchObject([
    { id: 'a', ttlSeconds: 0, urgency: 'low', data: { kind: 'clear' } },
    { id: 'd', ttlSeconds: 0 },
  ])
  expect(await run({ ...clear, targets: [target('d')], ageSeconds: 7_200 })).toEqual({
    ...{ end: { end: 'void' }, verdicts: [], outcome: 'given_up' },
  })
})

test('one whose run broke is tried again later, until it is too old', () => {
  const options = { ttlSeconds: 86_400, random: () => 0.5 }
  expect(brokenJob(heldJob({ attempts: 1, sentTo: ['a'] }), options)).toEqual({
    end: { end: 'again', isPushed: false, afterSeconds: 30, isFailure: true, sentTo: ['a'] },
    verdicts: [],
    outcome: 'waits',
  })
  const { end, outcome } = brokenJob(heldJob({ ageSeconds: 86_400 }), options)
  expect([end, outcome]).toEqual([{ end: 'done', isPushed: false }, 'given_up'])
  expect(brokenJob(heldJob({ kind: 'clear', ageSeconds: 7_200 }), options).end).toEqual({ end: 'void' })
})
