import { createCipheriv, createECDH, createHmac, randomFillSync } from 'node:crypto'

const SALT_BYTES = 16
const POINT_BYTES = 65
/** Of what stands before the text: salt, size of a record, length of the sender's key, key (RFC 8188, 2.1). */
const HEADER_BYTES = SALT_BYTES + 4 + 1 + POINT_BYTES
/** Everything is one record, and a push service has to take no more (RFC 8030, 7.2). */
const RECORD_BYTES = 4_096
/** Behind the text of the last record. */
const DELIMITER = Buffer.of(2)
const COUNTER = Buffer.of(1)
const INPUT_INFO = Buffer.from('WebPush: info\0')
const KEY_INFO = Buffer.from('Content-Encoding: aes128gcm\0\x01')
const NONCE_INFO = Buffer.from('Content-Encoding: nonce\0\x01')

/**
 * The body of a push for one browser (RFC 8291, 3.4), of which only that browser can make the text again. Throws for a
 * `p256dh` that is no point of the curve. Each has a key and a salt of its own.
 */
export function encrypted(p256dh: string, auth: string, plaintext: Buffer): Buffer {
  const sender = createECDH('prime256v1')
  const senderKey = sender.generateKeys()
  const browserKey = Buffer.from(p256dh, 'base64url')
  const secret = sender.computeSecret(browserKey)
  const header = headerWith(senderKey)
  const agreed = hmac(Buffer.from(auth, 'base64url'), secret)
  const input = hmac(agreed, Buffer.concat([INPUT_INFO, browserKey, senderKey, COUNTER]))
  const extracted = hmac(header.subarray(0, SALT_BYTES), input)
  const key = hmac(extracted, KEY_INFO).subarray(0, 16)
  const nonce = hmac(extracted, NONCE_INFO).subarray(0, 12)
  const cipher = createCipheriv('aes-128-gcm', key, nonce)
  const record = [cipher.update(plaintext), cipher.update(DELIMITER), cipher.final()]
  return Buffer.concat([header, ...record, cipher.getAuthTag()])
}

function headerWith(senderKey: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  randomFillSync(header, 0, SALT_BYTES)
  header.writeUInt32BE(RECORD_BYTES, SALT_BYTES)
  header.writeUInt8(POINT_BYTES, SALT_BYTES + 4)
  senderKey.copy(header, SALT_BYTES + 5)
  return header
}

/** Both halves of HKDF are this, as none of its outputs here is longer than a digest (RFC 5869). */
function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
