import { describe, expect, test } from 'vitest'
import { hostClassOf, type NamedHost, PushHosts, takesSilent } from '../../../src/push/hosts.ts'

const named: readonly NamedHost[] = [
  { host: 'push.example.org', isSuffix: false, port: undefined },
  { host: 'up.example.net', isSuffix: true, port: undefined },
  { host: '127.0.0.1', isSuffix: false, port: '8443' },
]
const hosts = new PushHosts(named)
const reachOf = (text: string) => hosts.reachOf(new URL(text))

describe('a push service', () => {
  test.each([
    'https://fcm.googleapis.com/fcm/send/abc',
    'https://fcm.googleapis.com:443/fcm/send/abc',
    'https://FCM.googleapis.com/x',
    'https://updates.push.services.mozilla.com/wpush/v2/x',
    'https://web.push.apple.com/x',
    'https://dm3p.notify.windows.com/w/?token=x',
    'https://push.example.org/x',
    'https://a.up.example.net/x',
  ])('%s is spoken to, on the public internet alone', (endpoint) => {
    expect(reachOf(endpoint)).toBe('public')
    expect(hosts.faultOf(endpoint)).toBeUndefined()
  })

  test('that is named with its port may be anywhere', () => {
    expect(reachOf('https://127.0.0.1:8443/x')).toBe('anywhere')
    // The URL parser writes other spellings of the address in dots.
    expect(reachOf('https://2130706433:8443/x')).toBe('anywhere')
  })

  test.each([
    'http://fcm.googleapis.com/x',
    'https://fcm.googleapis.com:8443/x',
    'https://fcm.googleapis.com./x',
    'https://user@fcm.googleapis.com/x',
    'https://user:password@fcm.googleapis.com/x',
    'https://fcm.googleapis.com@10.0.0.1/x',
    'https://10.0.0.1/x.google.com/',
    'https://10.0.0.1/?fcm.googleapis.com',
    'https://10.0.0.1/#fcm.googleapis.com',
    'https://fcm.googleapis.com.example.org/x',
    'https://evilfcm.googleapis.com/x',
    'https://xpush.apple.com/x',
    'https://push.apple.com/x',
    'https://up.example.net/x',
    'https://push.example.org:8443/x',
    'https://127.0.0.1/x',
    'https://127.0.0.1:8444/x',
    'https://[::1]:8443/x',
    'https://[::ffff:127.0.0.1]:8443/x',
    'https://localhost:8443/x',
    'ftp://fcm.googleapis.com/x',
    'data:text/plain,x',
  ])('%s is not spoken to', (endpoint) => {
    expect(reachOf(endpoint)).toBeUndefined()
    expect(hosts.faultOf(endpoint)).toMatch(/^must be/)
  })

  test('of which the address is no address, or too long, is not spoken to', () => {
    expect(hosts.faultOf('fcm.googleapis.com/x')).toMatch(/^must be/)
    expect(hosts.faultOf(`https://fcm.googleapis.com/${'x'.repeat(1_000)}`)).toBe('may have 1000 characters')
  })
})

test('a push without a notification is sent where it does no harm', () => {
  const classes = [
    'fcm.googleapis.com',
    'a.push.services.mozilla.com',
    'web.push.apple.com',
    'x.notify.windows.com',
    'h',
  ]
  expect(classes.map(hostClassOf)).toEqual(['google', 'mozilla', 'apple', 'microsoft', 'other'])
  expect(classes.map((host) => takesSilent(hostClassOf(host)))).toEqual([true, true, false, false, true])
})
