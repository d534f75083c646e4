import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { startOn } from '../support/app.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { bearer } from '../support/identity.ts'
import { call } from '../support/rest-client.ts'
import { issuedBy, jwkOf, type ScriptedIssuer, scriptedIssuer } from '../support/scripted-issuer.ts'
import { JSON_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { keyPair } from '../support/tokens.ts'

// A service that believes an issuer by the address of its key set.
const [first, second, unknown] = [keyPair('RS256'), keyPair('ES256'), keyPair('EdDSA')]
let issuer: ScriptedIssuer
let database: TestDatabase
let app: App

beforeAll(async () => {
  ;[issuer, database] = await Promise.all([scriptedIssuer(), createDatabase()])
  issuer.publish(jwkOf(first, 'first'), jwkOf(second, 'second'))
  app = await startOn(database.dsn, { ...issuer.env, ADDRESS_REFUSALS_PER_SECOND: '0' })
})
afterAll(async () => {
  await app?.stop()
  await Promise.all([issuer?.close(), database?.drop()])
})

const statusOf = async (token: string) =>
  (await call(app, 'GET', '/api/conversations', { headers: bearer(token) })).status

test('tokens of every published key open every door, also while the issuer is away', async () => {
  const tokens = [issuedBy(first, 'first', 'ann'), issuedBy(second, 'second', 'bob')]
  for (const isAway of [false, true]) {
    issuer.setAway(isAway)
    for (const token of tokens) {
      expect(await statusOf(token)).toBe(200)
      const byHeader = await SocketClient.connect(app, '', { headers: bearer(token) })
      const bySubprotocol = await SocketClient.connect(app, '', { protocol: `${JSON_PROTOCOL},bearer.${token}` })
      await Promise.all([byHeader.close(), bySubprotocol.close()])
    }
  }
  issuer.setAway(false)
})

test('a thousand key ids that nobody has make no look within 30 s of the one at the start', async () => {
  const flood = Array.from({ length: 1_000 }, (_, index) => statusOf(issuedBy(unknown, `key ${index}`, 'eve')))
  expect(new Set(await Promise.all(flood))).toEqual(new Set([401]))
  const header = bearer(issuedBy(unknown, 'one more', 'eve'))
  expect(await SocketClient.dial(app, '', { headers: header }).refusal()).toBe(401)
  expect(issuer.looks).toBe(1)
})

test('a key under the id of another verifies nothing', async () => {
  expect(await statusOf(issuedBy(unknown, 'first', 'eve'))).toBe(401)
  expect(await statusOf(issuedBy(second, 'first', 'eve'))).toBe(401)
})
