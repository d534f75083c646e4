// What a browser is sent, by the example of RFC 8291, Appendix A.
import { createECDH } from 'node:crypto'
import { expect, test } from 'vitest'
import { encrypted } from '../../../src/push/encryption.ts'
import { browserSubscription } from '../../support/push-jobs.ts'

const BROWSER = {
  p256dh: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
  auth: 'BTBZMqHH6r4Tts7J_aSIgg',
}

test('is the example of RFC 8291', () => {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(Buffer.from('yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw', 'base64url'))
  const salt = Buffer.from('DGv6ra1nlYgDCS1FRnbzlw', 'base64url')
  const sender = { curve, publicKey: curve.getPublicKey(), salt }
  const message = encrypted(Buffer.from('When I grow up, I want to be a watermelon'), BROWSER, sender)
  expect(message.toString('base64url')).toBe(
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
  )
})

test('has another key and another salt each time', () => {
  const heads = Array.from({ length: 100 }, () => encrypted(Buffer.from('same'), BROWSER))
  expect(new Set(heads.map((one) => one.subarray(0, 16).toString('hex'))).size).toBe(100)
  expect(new Set(heads.map((one) => one.subarray(21, 86).toString('hex'))).size).toBe(100)
})

test('is not made for keys that are none', () => {
  const { auth } = browserSubscription()
  expect(() => encrypted(Buffer.from('text'), { p256dh: Buffer.alloc(65, 4).toString('base64url'), auth })).toThrow()
})
