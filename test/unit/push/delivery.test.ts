import { expect, test } from 'vitest'
import { PushDelivery } from '../../../src/push/delivery.ts'
import { PushHosts } from '../../../src/push/hosts.ts'
import { VapidHeaders } from '../../../src/push/vapid.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { PUSH_KEYS, target } from '../../support/push-jobs.ts'
import { silentLogger } from '../../support/silent-logger.ts'

test('a subscription by a key that is not known is no fault of its own, nor of its host: it waits', async () => {
  const asked: string[] = []
  const answered: string[] = []
  const delivery = new PushDelivery({
    http: {
      send: async ({ url }) => {
        asked.push(url.href)
        return { status: 201, retryAfterSeconds: undefined, body: '' }
      },
    },
    hosts: new PushHosts([]),
    headers: new VapidHeaders('mailto:admin@example.com', new FakeClock()),
    keys: { vapid: (kid) => (kid === PUSH_KEYS.vapid.kid ? PUSH_KEYS.vapid : undefined) },
    breaker: { answered: (host) => void answered.push(host), closedSeconds: () => 0 },
    observer: { pushAnswered: () => undefined },
    logger: silentLogger,
  })
  const message = { payload: Buffer.from('{}'), ttlSeconds: 1, urgency: 'high', topic: 'topic' } as const
  expect(await delivery.push(target('a', { vapidKid: 'unknown' }), message)).toBe('failed')
  expect(await delivery.push(target('a', { endpoint: 'https://10.0.0.1/a' }), message)).toBe('bad')
  expect([asked, answered]).toEqual([[], []])
})
