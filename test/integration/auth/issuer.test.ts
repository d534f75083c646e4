// Keys by the address of an issuer: looked up over HTTP as in the service, by a clock of the test's own.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fetchKeySet } from '../../../src/auth/fetch-key-set.ts'
import { KeySet } from '../../../src/auth/key-set.ts'
import { TokenVerifier, type Verdict } from '../../../src/auth/token-verifier.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { issuedBy, jwkOf, type ScriptedIssuer, scriptedIssuer } from '../../support/scripted-issuer.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { AUDIENCE, ISSUER, keyPair } from '../../support/tokens.ts'

const [first, second] = [keyPair('ES256'), keyPair('EdDSA')]
const HOUR_MS = 60 * 60_000

let issuer: ScriptedIssuer
beforeEach(async () => {
  issuer = await scriptedIssuer()
  issuer.publish(jwkOf(first, 'first'))
})
afterEach(() => issuer.close())

/** One instance that believes the issuer. */
async function instance() {
  const clock = new FakeClock()
  const algorithms = ['ES256', 'EdDSA'] as const
  let looks = 0
  const looked: (() => void)[] = []
  const fetch = async (): Promise<string> => {
    looks += 1
    try {
      return await fetchKeySet(issuer.url)
    } finally {
      // After what the key set does with the answer.
      setImmediate(() => {
        for (const tell of looked.splice(0)) tell()
      })
    }
  }
  const keys = new KeySet({ fetch, algorithms, clock, logger: silentLogger, random: () => 0.5 })
  await keys.start()
  const rules = {
    issuer: ISSUER,
    audiences: [AUDIENCE],
    userClaim: 'sub',
    escapesUser: false,
    leewaySeconds: 30,
    maxLifetimeSeconds: 86_400,
  }
  const verifier = new TokenVerifier({ keys, algorithms, rules, time: clock })
  /** As every door does: verified again once a key has been looked for. */
  const verify = async (token: string): Promise<Verdict> => {
    const verdict = verifier.verify(token)
    if ('identity' in verdict || verdict.later === undefined) return verdict
    await verdict.later
    return verifier.verify(token)
  }
  const nowSeconds = () => Math.floor(clock.now() / 1000)
  return {
    clock,
    verify,
    close: () => keys.close(),
    of: (key: typeof first, kid: string) => issuedBy(key, kid, 'ann', nowSeconds()),
    get looks() {
      return looks
    },
    /** Resolves after the next look has had its answer. */
    nextLook: () => new Promise<void>((resolve) => looked.push(resolve)),
  }
}

const GOOD = { identity: expect.objectContaining({ userId: 'ann' }) }

test('the issuer goes over to another key under traffic, and no token is refused', async () => {
  const one = await instance()
  await one.clock.advance(31_000)
  const traffic = (key: typeof first, kid: string) =>
    Promise.all(Array.from({ length: 100 }, () => one.verify(one.of(key, kid))))
  for (const verdict of await traffic(first, 'first')) expect(verdict).toEqual(GOOD)
  // Tokens of the key before are still about; the new ones come all at once.
  issuer.publish(jwkOf(first, 'first'), jwkOf(second, 'second'))
  const mixed = await Promise.all([traffic(first, 'first'), traffic(second, 'second'), traffic(first, 'first')])
  for (const verdict of mixed.flat()) expect(verdict).toEqual(GOOD)
  expect(issuer.looks).toBe(2)
  // The key before is taken away: its tokens end with the next look.
  issuer.publish(jwkOf(second, 'second'))
  const looked = one.nextLook()
  await one.clock.advance(301_000)
  await looked
  expect(await one.verify(one.of(second, 'second'))).toEqual(GOOD)
  expect(await one.verify(one.of(first, 'first'))).toEqual({ fault: 'unknown_key' })
  one.close()
})

test('while the issuer is away known keys go on for a day, and then nobody is believed', async () => {
  const one = await instance()
  issuer.setAway(true)
  for (let hour = 0; hour < 23; hour += 1) {
    const looked = one.nextLook()
    await one.clock.advance(HOUR_MS)
    await looked
    expect(await one.verify(one.of(first, 'first'))).toEqual(GOOD)
  }
  await one.clock.advance(HOUR_MS + 1)
  expect(await one.verify(one.of(first, 'first'))).toEqual({ fault: 'unknown_key' })
  issuer.setAway(false)
  await one.clock.advance(31_000)
  expect(await one.verify(one.of(first, 'first'))).toEqual(GOOD)
  one.close()
})

test.each([false, true])(
  'a thousand key ids that nobody has are one look in 30 s; the issuer away: %s',
  async (isAway) => {
    const one = await instance()
    issuer.setAway(isAway)
    await one.clock.advance(31_000)
    const before = one.looks
    const flood = (from: number) =>
      Promise.all(Array.from({ length: 1_000 }, (_, index) => one.verify(one.of(second, `key ${from + index}`))))
    for (const verdict of await flood(0)) expect(verdict).toEqual({ fault: 'unknown_key' })
    await flood(1_000)
    expect(one.looks - before).toBe(1)
    expect(await one.verify(one.of(first, 'first'))).toEqual(GOOD)
    one.close()
  },
)
