import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { fetchKeySet } from '../../../src/auth/fetch-key-set.ts'
import { KeySet } from '../../../src/auth/key-set.ts'
import { TokenVerifier } from '../../../src/auth/token-verifier.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { goodClaims, type KeyPair, keyPair, tokenOf } from '../../support/tokens.ts'

let first: KeyPair
let second: KeyPair
beforeAll(() => {
  first = keyPair('ES256')
  second = keyPair('ES256')
})

const HOUR_MS = 60 * 60_000

function issuer() {
  const clock = new FakeClock()
  const lines: string[] = []
  const log = (fields: object, text: string) => lines.push(`${text} ${JSON.stringify(fields)}`)
  const state = { fetches: 0, answer: (): string => '' }
  const keySet = new KeySet({
    fetch: async () => {
      state.fetches += 1
      return state.answer()
    },
    algorithms: ['RS256', 'ES256', 'EdDSA'],
    clock,
    logger: { debug: log, info: log, warn: log, error: log },
    random: () => 0.5,
  })
  const rules = {
    issuer: undefined,
    audiences: [],
    userClaim: 'sub',
    escapesUser: false,
    leewaySeconds: 30,
    maxLifetimeSeconds: 86_400,
  }
  const verifier = new TokenVerifier({ keys: keySet, algorithms: ['ES256'], rules, time: clock })
  const publish = (keys: Record<string, KeyPair>, more: readonly object[] = []): void => {
    const own = Object.entries(keys).map(([kid, pair]) => ({
      ...pair.publicKey.export({ format: 'jwk' }),
      kid,
      use: 'sig',
    }))
    state.answer = () => JSON.stringify({ keys: [...own, ...more] })
  }
  const fail = (reason: string): void => {
    state.answer = () => {
      throw new Error(reason)
    }
  }
  const verify = (pair: KeyPair, kid: string) =>
    verifier.verify(tokenOf(goodClaims(clock.now() / 1000, { iss: undefined }), pair, { kid }))
  return { clock, lines, state, keySet, publish, fail, verify }
}

describe('a key set', () => {
  test('verifies with the keys it holds, whatever else lies in it', async () => {
    const { keySet, publish, verify } = issuer()
    publish(
      { one: first },
      [{ kty: 'oct', k: 'AAAA' }, { kty: 'RSA', use: 'enc' }, null, 'x'].map((key) => ({ ...Object(key) })),
    )
    await keySet.start()
    expect(verify(first, 'one')).toMatchObject({ identity: { userId: 'ann' } })
    expect(verify(second, 'one')).toEqual({ fault: 'signature' })
  })

  test('is looked up again for a key id unknown so far, and the token is then good', async () => {
    const { keySet, clock, publish, verify } = issuer()
    publish({ one: first })
    await keySet.start()
    publish({ one: first, two: second })
    await clock.advance(30_000)
    const verdict = verify(second, 'two')
    expect(verdict).toMatchObject({ fault: 'unknown_key', later: expect.any(Promise) })
    if ('fault' in verdict) await verdict.later
    expect(verify(second, 'two')).toHaveProperty('identity')
  })

  test('is looked up at most once in 30 s for a thousand unknown key ids', async () => {
    const { keySet, state, clock, publish, verify } = issuer()
    publish({ one: first })
    await keySet.start()
    for (let second_ = 0; second_ < 60; second_ += 1) {
      for (let id = 0; id < 17; id += 1) verify(second, `unknown ${second_} ${id}`)
      await clock.advance(1_000)
    }
    expect(state.fetches).toBe(1 + 1)
  })

  test('has one look to come, however often it was looked up meanwhile, and none after its end', async () => {
    const { keySet, clock, publish } = issuer()
    publish({ one: first })
    await keySet.start()
    for (let look = 0; look < 3; look += 1) {
      await clock.advance(30_000)
      await keySet.lookAgain()
    }
    await settled()
    expect(clock.pending).toBe(1)
    keySet.close()
    expect(clock.pending).toBe(0)
  })

  test('counts the 30 s from the last attempt, also while the issuer is down', async () => {
    const { keySet, state, clock, publish, fail, verify } = issuer()
    publish({ one: first })
    await keySet.start()
    fail('refused')
    await clock.advance(30_000)
    for (let id = 0; id < 100; id += 1) {
      verify(second, `unknown ${id}`)
      await settled()
    }
    expect(state.fetches).toBe(2)
    expect(verify(second, 'another')).toEqual({ fault: 'unknown_key' })
  })

  test('drops a key that was withdrawn at the next look, also from what was verified before', async () => {
    const { keySet, clock, publish, verify } = issuer()
    publish({ one: first, two: second })
    await keySet.start()
    expect(verify(second, 'two')).toHaveProperty('identity')
    publish({ one: first })
    await clock.advance(5 * 60_000)
    expect(verify(second, 'two')).toMatchObject({ fault: 'unknown_key' })
    expect(verify(first, 'one')).toHaveProperty('identity')
  })

  test('that has not changed leaves what was verified before', async () => {
    const { keySet, clock, publish, state } = issuer()
    publish({ one: first })
    await keySet.start()
    const { generation } = keySet
    await clock.advance(15 * 60_000)
    expect(state.fetches).toBe(4)
    expect(keySet.generation).toBe(generation)
  })

  test('serves its keys for a day while the issuer is down, tells of it once, and tells its age', async () => {
    const { keySet, clock, publish, fail, verify, lines } = issuer()
    publish({ one: first })
    await keySet.start()
    fail('refused')
    await clock.advance(HOUR_MS)
    expect(verify(first, 'one')).toHaveProperty('identity')
    expect(keySet.ageSeconds).toBe(3600)
    expect(lines).toEqual(['the key set of the issuer could not be read {"reason":"refused"}'])
    await clock.advance(23 * HOUR_MS)
    expect(verify(first, 'one')).toHaveProperty('identity')
    await clock.advance(1)
    expect(verify(first, 'one')).toMatchObject({ fault: 'unknown_key' })
    expect(keySet.ageSeconds).toBeUndefined()
  })

  test('is believed again as soon as the issuer is back', async () => {
    const { keySet, clock, publish, fail, verify, lines } = issuer()
    fail('refused')
    await keySet.start()
    publish({ one: first })
    await clock.advance(5_000)
    expect(verify(first, 'one')).toHaveProperty('identity')
    expect(lines.at(-1)).toBe('the key set of the issuer is there again {"keys":1}')
  })

  test.each([
    ['no list of keys', '{"keys":{}}'],
    ['no JSON', '<html>'],
    ['33 keys', JSON.stringify({ keys: Array.from({ length: 33 }, () => ({})) })],
  ])('that holds %s changes nothing', async (_, text) => {
    const { keySet, clock, state, publish, verify } = issuer()
    publish({ one: first })
    await keySet.start()
    state.answer = () => text
    await clock.advance(5 * 60_000)
    expect(state.fetches).toBe(2)
    expect(verify(first, 'one')).toHaveProperty('identity')
  })

  test.each(['{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}'])(
    'without a key of ours withdraws those before, tells of it and looks again soon: %s',
    async (text) => {
      const { keySet, clock, state, publish, verify, lines } = issuer()
      publish({ one: first })
      await keySet.start()
      expect(verify(first, 'one')).toHaveProperty('identity')
      state.answer = () => text
      await clock.advance(5 * 60_000)
      expect(verify(first, 'one')).toMatchObject({ fault: 'unknown_key' })
      expect(lines.at(-1)).toContain('the key set holds no key that can be used')
      publish({ one: first })
      await clock.advance(5_000)
      expect(verify(first, 'one')).toHaveProperty('identity')
    },
  )

  test('looks no more once it is closed', async () => {
    const { keySet, clock, state, publish, verify } = issuer()
    publish({ one: first })
    await keySet.start()
    keySet.close()
    await clock.advance(HOUR_MS)
    verify(second, 'unknown')
    expect(state.fetches).toBe(1)
    expect(clock.pending).toBe(0)
  })
})

describe('the fetch of a key set', () => {
  const servers: Server[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections()
      server.close()
    }
  })

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener)
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/keys`
  }

  test('brings the document', async () => {
    const url = await serve((_, response) => response.end('{"keys":[]}'))
    expect(await fetchKeySet(url)).toBe('{"keys":[]}')
  })

  test('follows no redirect', async () => {
    const paths: string[] = []
    const url = await serve((request, response) => {
      paths.push(request.url ?? '')
      response.writeHead(302, { Location: '/elsewhere' }).end()
    })
    await expect(fetchKeySet(url)).rejects.toThrow('status 302')
    expect(paths).toEqual(['/keys'])
  })

  test('ends beyond 64 KiB, however the answer goes on', async () => {
    const url = await serve((_, response) => response.end('x'.repeat(64 * 1024 + 1)))
    await expect(fetchKeySet(url)).rejects.toThrow('more than 65536 bytes')
  })

  test('ends after two seconds, when nothing comes and when bytes trickle', async () => {
    const silent = await serve(() => undefined)
    const trickling = await serve((_, response) => {
      response.write('{')
      const timer = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(timer))
    })
    const both = await Promise.allSettled([fetchKeySet(silent), fetchKeySet(trickling)])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})
