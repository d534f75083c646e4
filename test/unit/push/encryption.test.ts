import { createECDH, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import webPush from 'web-push'
import { encrypted } from '../../../src/push/encryption.ts'
import { decryptPush } from '../../support/fake-push-service.ts'

const browser = () => {
  const curve = createECDH('prime256v1')
  const publicKey = curve.generateKeys('base64url')
  const auth = randomBytes(16)
  return { curve, publicKey, auth, authText: auth.toString('base64url') }
}

test('what decrypts here decrypts the example of the standard, and what another library encrypts', () => {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(Buffer.from('q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94', 'base64url'))
  const auth = Buffer.from('BTBZMqHH6r4Tts7J_aSIgg', 'base64url')
  // RFC 8291, 5.
  const body = Buffer.from(
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
    'base64url',
  )
  expect(decryptPush(body, { curve, auth }).toString()).toBe('When I grow up, I want to be a watermelon')
  const other = browser()
  const { cipherText } = webPush.encrypt(other.publicKey, other.authText, 'by another', 'aes128gcm')
  expect(decryptPush(cipherText, other).toString()).toBe('by another')
})

test('a push of any length is read by its browser, and by no other', () => {
  const { curve, publicKey, auth, authText } = browser()
  for (const length of [0, 1, 15, 16, 1_024, 3_072, 3_900]) {
    const plaintext = randomBytes(length)
    const body = encrypted(publicKey, authText, plaintext)
    expect(body.byteLength).toBe(length + 86 + 17)
    expect(body.byteLength).toBeLessThanOrEqual(4_096)
    expect(decryptPush(body, { curve, auth }).equals(plaintext)).toBe(true)
    expect(() => decryptPush(body, browser())).toThrow()
    expect(() => decryptPush(body, { curve, auth: randomBytes(16) })).toThrow()
  }
})

test('two pushes share neither salt nor key', () => {
  const { publicKey, authText } = browser()
  const parts = Array.from({ length: 50 }, () => encrypted(publicKey, authText, Buffer.from('the same')))
  expect(new Set(parts.map((body) => body.toString('hex', 0, 16))).size).toBe(50)
  expect(new Set(parts.map((body) => body.toString('hex', 21, 86))).size).toBe(50)
})

test('what is no point of the curve is not encrypted for', () => {
  const { authText } = browser()
  const outside = Buffer.alloc(65, 1)
  outside[0] = 4
  for (const key of [outside.toString('base64url'), '', 'AAAA']) {
    expect(() => encrypted(key, authText, Buffer.from('text'))).toThrow()
  }
})
