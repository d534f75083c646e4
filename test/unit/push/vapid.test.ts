// The header by which push services know the server: made rarely, and good for whom it is shown.
import { createPublicKey, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import { VapidHeaders, vapidKeyOf } from '../../../src/push/vapid.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const KEY = vapidKeyOf('one', Buffer.alloc(32, 1))
const OTHER = vapidKeyOf('two', Buffer.alloc(32, 2))
const ORIGIN = 'https://fcm.googleapis.com'
const SUBJECT = 'mailto:admin@example.com'
const HOUR_MS = 60 * 60_000

function bench() {
  const clock = new FakeClock()
  return { clock, headers: new VapidHeaders(SUBJECT, clock) }
}

/** Of the header, as its two groups stand. */
const [TOKEN, PUBLIC] = [1, 2]

function parts(header: string): { claims: unknown; signed: string; signature: Buffer; key: string } {
  const match = /^vapid t=([\w-]+\.[\w-]+\.[\w-]+), k=([\w-]+)$/.exec(header)
  const [head = '', body = '', signature = ''] = (match?.[TOKEN] ?? '').split('.')
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
  return {
    ...{ claims, signed: `${head}.${body}` },
    ...{ signature: Buffer.from(signature, 'base64url'), key: match?.[PUBLIC] ?? '' },
  }
}

test('it is signed by the key that it names, for one push service, and ends within a day', () => {
  const { clock, headers } = bench()
  const { claims, signed, signature, key } = parts(headers.of(ORIGIN, KEY))
  expect(key).toBe(KEY.publicKey)
  expect(claims).toEqual({ aud: ORIGIN, exp: clock.now() / 1000 + 12 * 3_600, sub: SUBJECT })
  const publicKey = createPublicKey(KEY.privateKey)
  expect(verify('sha256', Buffer.from(signed), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
})

test('one is used for six hours, and never when it has ended', async () => {
  const { clock, headers } = bench()
  const first = headers.of(ORIGIN, KEY)
  await clock.advance(6 * HOUR_MS - 1)
  expect(headers.of(ORIGIN, KEY)).toBe(first)
  await clock.advance(1)
  const second = headers.of(ORIGIN, KEY)
  expect(second).not.toBe(first)
  expect(headers.of(ORIGIN, KEY)).toBe(second)
  // A process that was suspended for a day does not use what it has.
  await clock.advance(24 * HOUR_MS)
  expect(parts(headers.of(ORIGIN, KEY)).claims).toMatchObject({ exp: clock.now() / 1000 + 12 * 3_600 })
})

test('each push service and each key has its own', () => {
  const { headers } = bench()
  const all = [ORIGIN, 'https://web.push.apple.com'].flatMap((origin) =>
    [KEY, OTHER].map((key) => headers.of(origin, key)),
  )
  expect(new Set(all).size).toBe(4)
  expect(all.map((header) => parts(header).key)).toEqual([
    ...[KEY.publicKey, OTHER.publicKey],
    ...[KEY.publicKey, OTHER.publicKey],
  ])
})

test('a thousand are kept, the last that were made', () => {
  const { headers } = bench()
  const origin = (count: number): string => `https://${count}.notify.windows.com`
  const first = headers.of(origin(0), KEY)
  for (let count = 1; count <= 1_000; count += 1) headers.of(origin(count), KEY)
  const last = headers.of(origin(1_000), KEY)
  expect(headers.of(origin(1_000), KEY)).toBe(last)
  expect(headers.of(origin(0), KEY)).not.toBe(first)
})
