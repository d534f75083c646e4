import type { Algorithm } from './token.ts'
import type { VerificationKey } from './verification-key.ts'

/** Where the keys that verify tokens come from. */
export interface KeySource {
  /** Changes whenever a key was added or removed: what was verified before is then verified again. */
  readonly generation: number
  /** Keys that may have signed such a token. A key without an id serves every token of its algorithm. */
  candidates(algorithm: Algorithm, keyId: string | undefined): readonly VerificationKey[]
  /** Resolves when an unknown key id has been looked for again; undefined when it is not worth a look now. Never rejects. */
  lookAgain(keyId: string | undefined): Promise<void> | undefined
}

/** Keys by algorithm and id. Ids come from tokens, so they are only ever compared. */
export function candidatesAmong(
  keys: readonly VerificationKey[],
  algorithm: Algorithm,
  keyId: string | undefined,
): VerificationKey[] {
  return keys.filter(
    (key) => key.algorithm === algorithm && (keyId === undefined || key.keyId === undefined || key.keyId === keyId),
  )
}

/** Keys from the environment: they stay as they are until the service starts anew. */
export function fixedKeys(keys: readonly VerificationKey[]): KeySource {
  return {
    generation: 0,
    candidates: (algorithm, keyId) => candidatesAmong(keys, algorithm, keyId),
    lookAgain: () => undefined,
  }
}
