// An issuer of tokens on this machine, whose key set a test changes, takes away and counts the looks at.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AUDIENCE, goodClaims, ISSUER, type KeyPair, tokenOf } from './tokens.ts'

export interface ScriptedIssuer {
  readonly url: string
  /** What the service has to know of it. */
  readonly env: Readonly<Record<string, string>>
  /** Requests for the key set so far. */
  readonly looks: number
  /** The key set from now on. */
  publish(...keys: readonly object[]): void
  /** From now on every look fails, or no longer. */
  setAway(isAway: boolean): void
  close(): Promise<void>
}

export async function scriptedIssuer(): Promise<ScriptedIssuer> {
  const state = { keys: [] as readonly object[], isAway: false, looks: 0 }
  const server = createServer((_request, response) => {
    state.looks += 1
    if (state.isAway) response.destroy()
    else response.end(JSON.stringify({ keys: state.keys }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
  return {
    url,
    env: { AUTH: 'jwt', JWT_JWKS_URL: url, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE },
    get looks() {
      return state.looks
    },
    publish(...keys) {
      state.keys = keys
    },
    setAway(isAway) {
      state.isAway = isAway
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A public key as an issuer publishes it. */
export function jwkOf({ publicKey, algorithm }: KeyPair, kid: string): object {
  return { ...publicKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' }
}

/** A good token of this user, signed by this key. */
export function issuedBy(
  key: KeyPair,
  kid: string,
  userId: string,
  nowSeconds = Math.floor(Date.now() / 1000),
): string {
  return tokenOf(goodClaims(nowSeconds, { sub: userId }), key, { kid })
}
