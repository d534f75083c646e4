import { jwtVerify } from 'jose'
import { expect, test } from 'vitest'
import { fixedKeys } from '../../../src/auth/key-source.ts'
import { TokenVerifier } from '../../../src/auth/token-verifier.ts'
import { secretKey } from '../../../src/auth/verification-key.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { AUDIENCE, compact, goodClaims, hmacSigner, ISSUER, SECRET } from '../../support/tokens.ts'

const clock = new FakeClock()
const NOW = clock.now() / 1000
const RULES = { leewaySeconds: 30, maxLifetimeSeconds: 3600, userClaim: 'sub', escapesUser: false }
const ours = new TokenVerifier({
  keys: fixedKeys([secretKey(SECRET)]),
  algorithms: ['HS256'],
  rules: { ...RULES, issuer: ISSUER, audiences: [AUDIENCE] },
  time: clock,
})

async function joseAccepts(token: string): Promise<boolean> {
  const options = {
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: AUDIENCE,
    clockTolerance: RULES.leewaySeconds,
    currentDate: new Date(clock.now()),
    requiredClaims: ['exp', 'sub'],
  }
  return jwtVerify(token, new TextEncoder().encode(SECRET), options).then(
    () => true,
    () => false,
  )
}

/** A small generator with a seed (mulberry32), so that a difference can be found again. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const VALUES: readonly unknown[] = [
  undefined, null, '', 'x', 0, -1, 1.5, NOW, NOW - 31, NOW - 29, NOW + 29, NOW + 31, NOW + 10_000, [], {}, true, [AUDIENCE],
  [ISSUER], ISSUER, AUDIENCE, 'HS256', 'none', 'RS256', 'a|b', `${NOW}`, 1e21, ['exp'],
] // biome-ignore format: one short list
const CLAIMS = ['sub', 'exp', 'iat', 'nbf', 'iss', 'aud', 'sid', 'jti', 'scope']
const HEADERS = ['alg', 'typ', 'kid', 'crit', 'b64', 'zip', 'jku', 'cty']

/** A good token with up to two changes: of a claim, of the header, or of its characters after it was signed. */
function mutated(pick: (below: number) => number): string {
  const header: Record<string, unknown> = { alg: 'HS256', typ: 'JWT' }
  const claims: Record<string, unknown> = { ...goodClaims(NOW) }
  const value = () => VALUES[pick(VALUES.length)]
  for (let change = pick(3); change > 0; change -= 1) {
    const changesHeader = pick(4) === 0
    if (changesHeader) header[HEADERS[pick(HEADERS.length)] ?? ''] = value()
    else claims[CLAIMS[pick(CLAIMS.length)] ?? ''] = value()
  }
  const token = compact(JSON.stringify(header), JSON.stringify(claims), hmacSigner())
  if (pick(3) > 0) return token
  const at = pick(token.length)
  const character = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n'[pick(70)] ?? ''
  return token.slice(0, at) + character + token.slice(at + pick(2))
}

/** Where we are stricter than jose on purpose: it takes more headers, times and spellings than an honest issuer writes. */
const STRICTER = ['header', 'malformed', 'claims', 'lifetime', 'subject', 'not_yet_valid']

test('every token that we accept jose accepts, and what it accepts beyond that we refuse for a named reason', async () => {
  const pick = random(18)
  let accepted = 0
  for (let round = 0; round < TOKENS; round += 1) {
    const token = mutated(pick)
    const verdict = ours.verify(token)
    const isAccepted = 'identity' in verdict
    const isAcceptedByJose = await joseAccepts(token)
    if (isAccepted) accepted += 1
    if (isAccepted !== isAcceptedByJose) {
      expect({ token, isAccepted, fault: 'fault' in verdict && verdict.fault }).toEqual({
        token,
        isAccepted: false,
        fault: expect.toSatisfy((fault) => STRICTER.includes(fault)),
      })
    }
  }
  // Neither side of the comparison may be empty.
  expect(accepted).toBeGreaterThan(TOKENS / 10)
  expect(accepted).toBeLessThan((TOKENS * 9) / 10)
})

/** A hundred thousand in the long run of faults; a sample here. */
const TOKENS = 5_000
