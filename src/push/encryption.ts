import { createCipheriv, createECDH, createHmac, type ECDH, randomBytes } from 'node:crypto'
import type { Subscription } from './subscription.ts'

/** What a message is encrypted with, and no other one may be. */
export interface Sender {
  /** With its pair of keys. */
  readonly curve: ECDH
  readonly publicKey: Buffer
  readonly salt: Buffer
}

const RECORD_BYTES = 4_096
const SALT_BYTES = 16
const KEY_BYTES = 16
const NONCE_BYTES = 12
/** Behind the last byte of the only record (RFC 8188, 2). */
const END = Buffer.from([2])

/** The last byte counts the blocks of HKDF (RFC 5869), of which one is enough. */
const MESSAGE_INFO = Buffer.from('WebPush: info\0')
const KEY_INFO = Buffer.from('Content-Encoding: aes128gcm\0\x01')
const NONCE_INFO = Buffer.from('Content-Encoding: nonce\0\x01')
const FIRST_BLOCK = Buffer.from([1])

/** Kept, because to make one takes as long as to make a pair of keys with it; a pair is made for each message. */
const curve = createECDH('prime256v1')

function newSender(): Sender {
  const publicKey = curve.generateKeys()
  return { curve, publicKey, salt: randomBytes(SALT_BYTES) }
}

/**
 * A message as one browser alone can read it, in one record (RFC 8291 with `aes128gcm` of RFC 8188): a plaintext of up to 3,993 bytes, more
 * than a push may have. Throws where the keys of the subscription are none.
 */
export function encrypted(
  plaintext: Buffer,
  { p256dh, auth }: Pick<Subscription, 'p256dh' | 'auth'>,
  sender: Sender = newSender(),
): Buffer {
  const { salt, publicKey: ours } = sender
  const theirs = Buffer.from(p256dh, 'base64url')
  const shared = hmac(Buffer.from(auth, 'base64url'), sender.curve.computeSecret(theirs))
  const secret = hmac(salt, hmac(shared, MESSAGE_INFO, theirs, ours, FIRST_BLOCK))
  const key = hmac(secret, KEY_INFO).subarray(0, KEY_BYTES)
  const cipher = createCipheriv('aes-128-gcm', key, hmac(secret, NONCE_INFO).subarray(0, NONCE_BYTES))
  const sizes = Buffer.alloc(5)
  sizes.writeUInt32BE(RECORD_BYTES)
  sizes.writeUInt8(ours.byteLength, 4)
  const text = [cipher.update(plaintext), cipher.update(END), cipher.final()]
  return Buffer.concat([salt, sizes, ours, ...text, cipher.getAuthTag()])
}

function hmac(key: Buffer, ...parts: readonly Buffer[]): Buffer {
  const hash = createHmac('sha256', key)
  for (const part of parts) hash.update(part)
  return hash.digest()
}
