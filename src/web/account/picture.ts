import { ChatError } from '../../client/accounts.ts'

const SIDE_PX = 256
/** The server takes no more. */
const MAX_BYTES = 256 * 1024
const QUALITY = 0.85

/** The middle of a picture, as small as it is shown. Rejects with `unsupported_media_type` when it is none. */
export async function squareOf(file: Blob): Promise<Blob> {
  const picture = await createImageBitmap(file).catch(() => undefined)
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d')
  if (!picture || !context) throw new ChatError({ code: 'unsupported_media_type' })
  canvas.width = SIDE_PX
  canvas.height = SIDE_PX
  const side = Math.min(picture.width, picture.height)
  const [left, top] = [(picture.width - side) / 2, (picture.height - side) / 2]
  context.drawImage(picture, left, top, side, side, 0, 0, SIDE_PX, SIDE_PX)
  picture.close()
  // Browsers that cannot make the one make PNG, which may be too large.
  for (const type of ['image/webp', 'image/jpeg']) {
    const made = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, type, QUALITY))
    if (made && made.size <= MAX_BYTES) return made
  }
  throw new ChatError({ code: 'payload_too_large' })
}
