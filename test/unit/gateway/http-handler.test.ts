import { expect, test } from 'vitest'
import type { ServiceKey } from '../../../src/auth/service-key.ts'
import { createHttpHandler, type HttpHandlerOptions } from '../../../src/gateway/http-handler.ts'
import { silentLogger } from '../../support/silent-logger.ts'

test('where a caller is, is found before their key is looked up: they may hang up meanwhile', async () => {
  let found: (answer: { key: ServiceKey }) => void = () => undefined
  const verifyKey = () => new Promise<{ key: ServiceKey }>((resolve) => (found = resolve))
  const by: unknown[] = []
  const revocations = { revoke: async (_target: unknown, revoker: unknown) => void by.push(revoker) }
  const handler = createHttpHandler({
    logger: silentLogger,
    guard: { request: () => 0, credentialRefused: () => 0 },
    hostRule: () => true,
    origins: { allows: () => false },
    auth: { authenticator: { verifyKey }, revocations },
  } as unknown as HttpHandlerOptions)
  let isOver = false
  let known = ''
  const answer = handler({
    method: 'POST',
    path: '/api/auth/revoke',
    query: '',
    headers: new Map([
      ['authorization', 'Bearer msk_0123456789abcdef_x'],
      ['content-type', 'application/json'],
    ]),
    body: JSON.stringify({ user_id: 'ann' }),
    requestId: 'r',
    // As the transport has it: remembered, and nothing once the request is over.
    address: () => {
      if (known === '' && !isOver) known = '192.0.2.7'
      return known
    },
  })
  isOver = true
  found({ key: { keyId: 'key', name: 'test', scopes: ['sessions:revoke'], expiresAtMs: undefined } })
  expect(await answer).toMatchObject({ status: 204 })
  expect(by).toEqual([{ actor: 'key key', address: '192.0.2.7', requestId: 'r' }])
})
