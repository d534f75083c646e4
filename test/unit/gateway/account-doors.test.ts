import { describe, expect, test, vi } from 'vitest'
import { cookieIn, cookieToForget, cookieToSet, isOwnPage } from '../../../src/gateway/cookies.ts'
import { NetworkCount } from '../../../src/gateway/network-count.ts'
import { PublicAddress } from '../../../src/gateway/public-address.ts'
import type { RestRequest } from '../../../src/gateway/rest-exchange.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const addressOf = (publicUrl?: string, host = '127.0.0.1', tls = false): PublicAddress => {
  const address = new PublicAddress({ publicUrl, host, tls })
  address.listensOn(8080)
  return address
}
const withHeaders = (headers: Readonly<Record<string, string>>) => ({ headers: new Map(Object.entries(headers)) })

test.each([
  [addressOf(), 'http://127.0.0.1:8080', 'session_8080'],
  [addressOf(undefined, '0.0.0.0'), 'http://localhost:8080', 'session_8080'],
  [addressOf(undefined, '::'), 'http://localhost:8080', 'session_8080'],
  [addressOf(undefined, '::1'), 'http://[::1]:8080', 'session_8080'],
  [addressOf(undefined, 'chat.lan', true), 'https://chat.lan:8080', '__Host-session'],
  [addressOf('http://chat.lan'), 'http://chat.lan', 'session_80'],
  [addressOf('https://chat.example.com'), 'https://chat.example.com', '__Host-session'],
])('browsers reach the service where PUBLIC_URL says, else where it listens: %#', (address, origin, name) => {
  expect([address.origin, address.cookieName('session')]).toEqual([origin, name])
  expect(address.link('invite', 'abc')).toBe(`${origin}/#invite=abc`)
})

test.each([
  [addressOf(), false],
  [addressOf(undefined, '::1'), false],
  [addressOf('http://[::1]:8080', '0.0.0.0'), false],
  [addressOf('http://localhost'), false],
  [addressOf(undefined, '0.0.0.0'), true],
  [addressOf('http://chat.lan', '127.0.0.1'), true],
  [addressOf('https://chat.example.com', '0.0.0.0'), false],
])(
  'without https passwords cross a network in clear text, unless this machine alone is meant: %#',
  (address, isInClear) => {
    expect(address.isInClear).toBe(isInClear)
  },
)

test('cookies are out of the reach of scripts, of other sites and, with https, of other names', () => {
  expect(cookieToSet('session', 'x', addressOf())).toBe(
    'session_8080=x; Path=/; Max-Age=15552000; HttpOnly; SameSite=Strict',
  )
  expect(cookieToForget('session', addressOf('https://a.example'))).toBe(
    '__Host-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure',
  )
})

test.each([
  ['session_8080=a', 'a'],
  ['other=1; session_8080=a', 'a'],
  ['session_80=a', undefined],
  ['xsession_8080=a', undefined],
  ['session_8080=a; session_8080=b', undefined],
  ['', undefined],
])('of the header %j the session is %j', (cookie, expected) => {
  expect(cookieIn(withHeaders({ cookie }), 'session', addressOf())).toBe(expected)
})

test.each<[Readonly<Record<string, string>>, boolean]>([
  [{ 'sec-fetch-site': 'same-origin' }, true],
  [{ 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:8080' }, false],
  [{ 'sec-fetch-site': 'none' }, false],
  [{ origin: 'http://127.0.0.1:8080' }, true],
  [{ origin: 'http://127.0.0.1:80' }, false],
  [{}, false],
])('a page with %j is the own one: %s', (headers, expected) => {
  expect(isOwnPage(withHeaders(headers), addressOf())).toBe(expected)
})

describe('a network is one that many share', () => {
  const setUp = () => {
    const warn = vi.fn()
    const networks = new NetworkCount({ ...silentLogger, warn })
    const isShared = (address: string, isBehind: boolean) =>
      networks.isShared({ address: () => address, isBehindUnlistedProxy: () => isBehind } as RestRequest)
    return { warn, isShared }
  }

  test('behind a proxy of one’s own that is not listed, which is said once', () => {
    const { warn, isShared } = setUp()
    for (const address of ['10.1.2.3', '127.0.0.1', 'fd00:1:2:3::/64']) {
      expect([address, isShared(address, true)]).toEqual([address, true])
    }
    isShared('10.1.2.3', true)
    expect(warn).toHaveBeenCalledTimes(3)
  })

  test.each([
    ['10.0.0.0', '10.255.255.255', '11.0.0.0'],
    ['172.16.0.0', '172.31.255.255', '172.32.0.0'],
    ['192.168.0.0', '192.168.255.255', '192.169.0.0'],
    ['100.64.0.0', '100.127.255.255', '100.128.0.0'],
    ['127.0.0.0', '127.255.255.255', '128.0.0.0'],
    ['169.254.0.0', '169.254.255.255', '169.255.0.0'],
    ['fc00::1', 'fdff:ffff::1', 'fe00::1'],
    ['fe80::1', 'febf::1', 'fec0::1'],
  ])('from %s to %s, and not at %s', (first, last, beside) => {
    const { isShared } = setUp()
    expect([first, last, beside].map((address) => isShared(address, true))).toEqual([true, true, false])
  })

  test('and not because a stranger says that a proxy passed it on', () => {
    const { isShared } = setUp()
    expect([isShared('203.0.113.7', true), isShared('2001:db8:1:2::/64', true)]).toEqual([false, false])
    expect(isShared('10.1.2.3', false)).toBe(false)
  })
})
