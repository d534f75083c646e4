import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_PICTURE_BYTES, pictureIn } from '../../../src/users/picture.ts'
import { jpegOf, pngOf, webpOf } from '../../support/pictures.ts'

describe('a picture', () => {
  test.each([
    ['image/png', pngOf(640, 480)],
    ['image/jpeg', jpegOf(640, 480)],
    ['image/webp', webpOf('VP8 ', 640, 480)],
    ['image/webp', webpOf('VP8L', 640, 480)],
    ['image/webp', webpOf('VP8X', 640, 480)],
  ])('%s is known with its size by its own bytes', (mediaType, bytes) => {
    expect(pictureIn(bytes)).toEqual({ mediaType, width: 640, height: 480 })
  })

  test.each([
    ['is no picture', Buffer.from('GIF89a and so on and so on and so on and so on')],
    ['is a page', Buffer.from('<!doctype html><script>alert(1)</script>')],
    ['is empty', Buffer.alloc(0)],
    ['ends in its header', pngOf(8, 8).subarray(0, 20)],
    ['is too wide', pngOf(2_049, 8)],
    ['is too high', webpOf('VP8X', 8, 2_049)],
    ['has no height', pngOf(8, 0)],
    ['is too large', Buffer.concat([pngOf(8, 8), Buffer.alloc(MAX_PICTURE_BYTES)])],
  ])('that %s is refused', (_, bytes) => {
    expect(typeof pictureIn(bytes)).toBe('string')
  })

  test('of any bytes is read without going beyond them', () => {
    const beginnings = [pngOf(8, 8), jpegOf(8, 8), webpOf('VP8 ', 8, 8), Buffer.alloc(0)]
    fc.assert(
      fc.property(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 60 }), fc.nat(60), (start, noise, cut) => {
        expect(pictureIn(Buffer.concat([start.subarray(0, cut), noise]))).toBeDefined()
      }),
      { numRuns: 500 },
    )
  })
})
