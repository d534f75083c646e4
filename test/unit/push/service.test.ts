// What a page may ask of push, and whom the service asks by itself.
import { expect, test } from 'vitest'
import { PushHosts } from '../../../src/push/hosts.ts'
import { PushService } from '../../../src/push/service.ts'
import type { Verdict } from '../../../src/push/subscription.ts'
import { PUSH_KEYS, target } from '../../support/push-jobs.ts'
import { silentLogger } from '../../support/silent-logger.ts'

test('a push service that is left alone gets no test and no question either', async () => {
  const pushed: string[] = []
  const noted: Verdict[] = []
  const all = [target('a'), target('b', { host: 'web.push.apple.com' }), target('c')]
  const service = new PushService({
    store: {
      ...{ put: async () => undefined, remove: async () => undefined, users: async () => [] },
      usersSince: async () => ({ users: [], asOfMs: 0 }),
      note: async (verdicts) => void noted.push(...verdicts),
      takeForTest: async () => all,
      cleanUp: async () => all,
    },
    subscribers: { add: () => undefined },
    hosts: new PushHosts([]),
    delivery: {
      push: async ({ id }) => {
        pushed.push(id)
        return id === 'c' ? 'gone' : 'sent'
      },
    },
    breaker: { closedSeconds: (host) => (host === 'web.push.apple.com' ? 60 : 0) },
    keys: { current: PUSH_KEYS },
    pageUrl: '',
    logger: silentLogger,
  })
  expect(await service.test('bob')).toBe('sent')
  await service.cleanUp()
  expect(pushed).toEqual(['a', 'c', 'a', 'c'])
  expect(noted).toEqual([
    { id: 'c', kind: 'gone' },
    { id: 'c', kind: 'gone' },
  ])
})
