import { describe, expect, test } from 'vitest'
import { createHostRule } from '../../../src/gateway/host.ts'
import { crossOriginHeaders, isOriginAllowed, type OriginPolicy, parseOrigins } from '../../../src/gateway/origin.ts'

function policy(...list: string[]): OriginPolicy {
  const parsed = parseOrigins(list)
  if (!parsed) throw new Error(`not a list of origins: ${list}`)
  return parsed
}
const NONE = policy()
const LISTED = policy('https://app.example.com')

describe('a list of allowed origins', () => {
  // What a browser sends for the page, and not what somebody may have typed.
  test.each([
    ['https://app.example.com', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['HTTPS://App.Example.COM', 'https://app.example.com'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['ionic://localhost', 'ionic://localhost'],
    ['tauri://localhost', 'tauri://localhost'],
    ['chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'chrome-extension://abcdefghijklmnopabcdefghijklmnop'],
    ['https://*.example.com', 'https://app.example.com'],
    ['https://*.example.com', 'https://a.b.example.com'],
    ['https://*.Example.com:443', 'https://app.example.com'],
    ['https://*.example.com:8443', 'https://app.example.com:8443'],
    ['http://*.localhost:3000', 'http://app.localhost:3000'],
    ['*', 'https://anything.example'],
    ['*', 'null'],
  ])('takes %s, which a page of %s matches', (listed, origin) => {
    expect(isOriginAllowed(origin, 'chat.internal', policy('https://else.example', listed))).toBe(true)
    expect(crossOriginHeaders(origin, policy(listed))).toMatchObject({ 'Access-Control-Allow-Origin': origin })
  })

  test.each([
    '',
    'app.example.com',
    'https://',
    'https://app.example.com/',
    'https://app.example.com/path',
    'https://app.example.com?x',
    'https://user@app.example.com',
    'https://app example.com',
    'https://app.example.com:99999',
    'https://*',
    'https://*.com',
    'https://*.1.2.3.4',
    'https://*.[::1]',
    'https://app.*.example.com',
    'https://app*.example.com',
    '*.example.com',
    'capacitor://*.localhost',
    'null',
    'file://',
    'file://host',
    'wss://app.example.com',
    'about:blank',
  ])('does not take %j, which no page could match', (listed) => {
    expect(parseOrigins(['https://app.example.com', listed])).toBeUndefined()
  })
})

describe('the origin of an upgrade', () => {
  test.each([
    'https://app.example.com.evil.com',
    'https://evil-app.example.com',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://APP.example.com',
    'https://app.example.com.',
    'https://app.example.com/',
    'https://app.example.com, https://evil.com',
    'null',
    'file://',
    'https://',
    'app.example.com',
  ])('%s is foreign to a list that names another', (origin) => {
    expect(isOriginAllowed(origin, 'chat.internal', LISTED)).toBe(false)
    expect(crossOriginHeaders(origin, LISTED)).toEqual({})
  })

  test.each([
    'https://example.com',
    'https://.example.com',
    'https://evilexample.com',
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://app.example.com.evil.com',
    'https://evil.com/.example.com',
    'https://evil.com?.example.com',
    'https://evil.com#.example.com',
    'https://evil.com\\.example.com',
    'https://user@app.example.com',
    'https://APP.example.com',
  ])('%s is not below the domain of a wildcard', (origin) => {
    expect(isOriginAllowed(origin, 'chat.internal', policy('https://*.example.com'))).toBe(false)
  })

  test('is allowed when it is listed, and when there is none', () => {
    expect(isOriginAllowed('https://app.example.com', 'chat.internal', LISTED)).toBe(true)
    expect(isOriginAllowed(undefined, 'chat.internal', LISTED)).toBe(true)
    expect(isOriginAllowed('', 'chat.internal', LISTED)).toBe(true)
  })

  test.each([
    ['http://localhost:8080', 'localhost:8080'],
    ['https://chat.example.com', 'chat.example.com'],
    ['https://chat.example.com', 'chat.example.com:443'],
    ['http://chat.example.com', 'chat.example.com:80'],
    ['https://chat.example.com', 'Chat.EXAMPLE.com'],
    ['https://chat.example.com:8443', 'chat.example.com:8443'],
    ['http://[::1]:8080', '[::1]:8080'],
  ])('%s is our own under the Host %s, with a list and without', (origin, host) => {
    expect(isOriginAllowed(origin, host, NONE)).toBe(true)
    expect(isOriginAllowed(origin, host, LISTED)).toBe(true)
    // A browser does not ask about pages of the same origin.
    expect(crossOriginHeaders(origin, LISTED)).toEqual({})
  })

  test.each([
    ['http://localhost:3000', 'localhost:8080'],
    ['https://chat.example.com', 'chat.example.com:80'],
    ['http://chat.example.com', 'chat.example.com:443'],
    ['null', 'localhost:8080'],
    ['http://undefined', undefined],
    ['capacitor://localhost', 'localhost'],
    ['http://evil.com', 'evil.com/'],
    ['http://evil.com', 'x@evil.com'],
  ])('%s is not our own under the Host %s', (origin, host) => {
    expect(isOriginAllowed(origin, host, NONE)).toBe(false)
  })

  test('may call with every method and read what an answer says beside its body', () => {
    const headers = crossOriginHeaders('https://app.example.com', LISTED)
    expect(headers).toMatchObject({
      'Access-Control-Allow-Methods': 'GET, POST, PUT, PATCH, DELETE',
      'Access-Control-Expose-Headers': 'Retry-After, X-Request-Id',
      Vary: 'Origin',
    })
  })
})

describe('the Host of a service that asks nobody who they are', () => {
  const isAllowed = createHostRule(['localhost', 'chat.example.com'])

  test.each([
    'localhost',
    'localhost:8080',
    'LocalHost:1',
    '127.0.0.1:8080',
    '127.1.2.3',
    '192.0.2.1',
    '[::1]:8080',
    'chat.example.com',
    'Chat.Example.com:443',
    undefined,
    '',
  ])('may be %s', (host) => {
    expect(isAllowed(host)).toBe(true)
    expect(isAllowed(host)).toBe(true)
  })

  test.each([
    'evil.com',
    'evil.com:8080',
    'localhost.evil.com',
    'evil.localhost',
    '127.0.0.1.evil.com',
    'chat.example.com.evil.com',
    'localhost@evil.com',
    'evil.com/localhost',
    'localhost, evil.com',
    'local host',
    ':8080',
    '1.2.3.4.evil',
  ])('may not be %s', (host) => {
    expect(isAllowed(host)).toBe(false)
    expect(isAllowed(host)).toBe(false)
  })

  test('is remembered for some names alone, however many come', () => {
    for (let port = 1; port < 1000; port += 1) expect(isAllowed(`localhost:${port}`)).toBe(true)
    expect(isAllowed('evil.com')).toBe(false)
  })

  test('may be any where the names are not configured', () => {
    expect(createHostRule(undefined)('evil.com')).toBe(true)
  })
})
