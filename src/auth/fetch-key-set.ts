import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'

/** Milliseconds for the whole request, from the look-up of the name to the last byte. */
const TIME_LIMIT_MS = 2_000
const MAX_BYTES = 64 * 1024

/**
 * Gets the document at an address from the configuration, which may be anywhere (an issuer at 10.x is usual). Rejects on any
 * other status than 200, a redirect among them, beyond two seconds and beyond 64 KiB.
 */
export function fetchKeySet(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const get = url.startsWith('https:') ? httpsGet : httpGet
    const request = get(url, { signal: AbortSignal.timeout(TIME_LIMIT_MS), headers: { Accept: 'application/json' } })
    request.on('error', (error) => {
      reject(
        error.name === 'TimeoutError' ? new Error(`no answer within ${TIME_LIMIT_MS} ms`, { cause: error }) : error,
      )
    })
    request.on('response', (response) => {
      readText(response).then(resolve, (error: unknown) => {
        request.destroy()
        reject(error)
      })
    })
  })
}

async function readText(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) throw new Error(`the answer has status ${response.statusCode}`)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > MAX_BYTES) throw new Error(`the answer has more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
