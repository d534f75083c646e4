import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** What a key may do. Only keys have scopes: no claim of a person's token gives any. */
export const SCOPES = [
  'send:any',
  'read:any',
  'users:write',
  'tokens:issue',
  'sessions:revoke',
  'presence:read',
  'admin',
] as const
export type Scope = (typeof SCOPES)[number]

export interface ServiceKey {
  readonly keyId: string
  /** For people who look through the list. */
  readonly name: string
  readonly scopes: readonly Scope[]
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number | undefined
}

export interface StoredServiceKey extends ServiceKey {
  readonly secretHash: Buffer
  readonly revokedAtMs: number | undefined
}

export interface NewServiceKey extends Omit<ServiceKey, 'expiresAtMs'> {
  readonly secretHash: Buffer
}

/** Durable service keys. All reject when the database refuses or is away. */
export interface ServiceKeyStore {
  /** It ends after so long by the database's clock, by which keys are judged; never where nothing is said. */
  add(key: NewServiceKey, lifetimeSeconds?: number): Promise<void>
  find(keyId: string): Promise<StoredServiceKey | undefined>
  list(): Promise<readonly (ServiceKey & { lastUsedAtMs: number | undefined; revokedAtMs: number | undefined })[]>
  /** False when there is no such key that is not revoked yet. */
  revoke(keyId: string): Promise<boolean>
  /** Notes that the key was used. */
  used(keyId: string): Promise<void>
}

/**
 * Ends a key. `refuse` makes every instance refuse it and comes first: if the database fails between the two, the key is refused
 * and can be revoked again, where otherwise instances would go on believing what they remember. False when there is no such key
 * that is not revoked yet.
 */
export async function revokeServiceKey(
  keyId: string,
  store: Pick<ServiceKeyStore, 'find' | 'revoke'>,
  refuse: (target: { readonly key_id: string }) => Promise<unknown>,
): Promise<boolean> {
  const key = await store.find(keyId)
  if (!key || key.revokedAtMs !== undefined) return false
  await refuse({ key_id: keyId })
  return store.revoke(keyId)
}

/** The prefix lets scanners of leaked secrets find a key in a repository or a log. */
const KEY_PATTERN = /^msk_([A-Za-z0-9]{16})_([A-Za-z0-9_-]{43})$/

/** The id and secret of a key as it is sent, or undefined for a text that is no key. */
export function parseServiceKey(text: string): { keyId: string; secret: string } | undefined {
  const [, keyId, secret] = KEY_PATTERN.exec(text) ?? []
  return keyId !== undefined && secret !== undefined ? { keyId, secret } : undefined
}

export function isServiceKey(text: string): boolean {
  return text.startsWith('msk_')
}

/** Makes a key: 256 random bits, of which only the hash is to be kept. `key` is shown to its owner once. */
export function newServiceKey(name: string, scopes: readonly Scope[]): { key: string; stored: NewServiceKey } {
  const keyId = randomId(16)
  const secret = randomBytes(32).toString('base64url')
  const stored = { keyId, name, scopes, secretHash: hashOfSecret(secret) }
  return { key: `msk_${keyId}_${secret}`, stored }
}

/** A plain hash is enough: the secret has 256 random bits, so there is nothing to guess. */
export function hashOfSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

export function isSecretOf({ secretHash }: StoredServiceKey, secret: string): boolean {
  return timingSafeEqual(secretHash, hashOfSecret(secret))
}

const ID_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

function randomId(length: number): string {
  let id = ''
  // Bytes beyond the last whole multiple of 62 would favour the first characters.
  while (id.length < length) for (const byte of randomBytes(length)) if (byte < 248) id += ID_CHARACTERS[byte % 62]
  return id.slice(0, length)
}
