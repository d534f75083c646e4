/** What a picture is by its own bytes, whatever its sender calls it. */
export interface Picture {
  readonly mediaType: 'image/png' | 'image/jpeg' | 'image/webp'
  /** Pixels. */
  readonly width: number
  readonly height: number
}

export const MAX_PICTURE_BYTES = 256 * 1024
/** A small file can unfold into far more than a browser should hold for each person of a list. */
const MAX_SIDE = 2_048

/** Why these bytes cannot be shown as somebody's picture, or what they are. The reasons complete "The picture …". */
export function pictureIn(bytes: Buffer): Picture | string {
  if (bytes.length > MAX_PICTURE_BYTES) return `may have ${MAX_PICTURE_BYTES / 1024} KiB`
  const picture = pngIn(bytes) ?? webpIn(bytes) ?? jpegIn(bytes)
  if (!picture) return 'must be a PNG, JPEG or WebP'
  const { width, height } = picture
  if (width < 1 || height < 1) return 'must have a size'
  return Math.max(width, height) > MAX_SIDE ? `may be ${MAX_SIDE} pixels wide and high` : picture
}

/** PNG specification §5.2, §11.2.2: signature, then the chunk IHDR. */
function pngIn(bytes: Buffer): Picture | undefined {
  if (bytes.length < 33 || bytes.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n') return undefined
  if (bytes.toString('latin1', 12, 16) !== 'IHDR') return undefined
  return { mediaType: 'image/png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
}

/** RFC 9649 §2.5–2.7: RIFF, then one of three first chunks. */
function webpIn(bytes: Buffer): Picture | undefined {
  if (bytes.length < 30 || bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WEBP') {
    return undefined
  }
  const mediaType = 'image/webp'
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8X':
      return { mediaType, width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 }
    case 'VP8L': {
      const packed = bytes.readUInt32LE(21)
      return { mediaType, width: (packed & 0x3fff) + 1, height: ((packed >>> 14) & 0x3fff) + 1 }
    }
    case 'VP8 ':
      return { mediaType, width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff }
    default:
      return undefined
  }
}

/** ITU-T T.81 annex B: segments up to the one that begins a frame (SOF0 … SOF15, without the three that are no frames). */
function jpegIn(bytes: Buffer): Picture | undefined {
  if (bytes.length < 4 || bytes.readUInt16BE(0) !== 0xffd8 || bytes[2] !== 0xff) return undefined
  let at = 2
  while (at + 9 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] ?? 0
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame) {
      return { mediaType: 'image/jpeg', width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) }
    }
    at += 2 + bytes.readUInt16BE(at + 2)
  }
  return undefined
}
