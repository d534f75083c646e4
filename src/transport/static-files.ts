import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, sep } from 'node:path'
import type { HostRule } from '../gateway/host.ts'
import type { HttpHandler, RestAnswer, RestRequest } from '../gateway/rest-exchange.ts'

/** A file in every encoding that was made when it was built. */
interface StaticFile {
  readonly identity: Representation
  readonly br: Representation | undefined
  readonly gzip: Representation | undefined
}

interface Representation {
  readonly body: Buffer
  readonly etag: string
  readonly headers: Readonly<Record<string, string>>
  /** Of a 304: what a cache keeps beside the body it has. */
  readonly unchangedHeaders: Readonly<Record<string, string>>
}

type Headers = Readonly<Record<string, string>>

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
}
const ENCODINGS = { '.br': 'br', '.gz': 'gzip' } as const
/** All files stay in memory. */
const MAX_FILE_BYTES = 2 * 1024 * 1024
/** Which paths, besides `/`, show the page: a JSON list of paths, of which `/c/*` stands for one name below `/c/`. */
const PAGE_PATHS_FILE = 'paths.json'

/** Files whose name holds a hash of their content: they never change. */
const HASHED_NAME = /^\/assets\/.+-[\w-]{8,}\.\w+$/
const FOR_EVER = 'public, max-age=31536000, immutable'
/** Kept, but asked for each time whether it has changed. */
const ASK_AGAIN = 'no-cache'

/** Nothing inline, nothing of others, and no text that becomes a script unnoticed (Trusted Types). */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types app',
].join('; ')
const UNUSED_FEATURES = ['accelerometer', 'camera', 'geolocation', 'gyroscope', 'magnetometer', 'microphone', 'midi']
const PAGE_HEADERS: Headers = {
  'Content-Security-Policy': PAGE_POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': [...UNUSED_FEATURES, 'payment', 'usb'].map((feature) => `${feature}=()`).join(', '),
}
/** The reference has one style and nothing else: it is named by its hash. */
const referenceHeaders = (styleHash: string): Headers => ({
  ...PAGE_HEADERS,
  'Content-Security-Policy': [
    "default-src 'none'",
    `style-src 'sha256-${styleHash}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
})
/** Pages of any origin may import it. */
const CLIENT_HEADERS: Headers = {
  'Access-Control-Allow-Origin': '*',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'cross-origin',
}

export interface StaticDirectories {
  /** Built chat page, with `index.html`; undefined when there is to be none. */
  readonly page: string | undefined
  /** The SDK built as one module, `client.js`. */
  readonly client: string
  /** The reference of the protocol, `docs.html`. */
  readonly reference: string
}

/**
 * The built page, the SDK and the reference, read into memory once. Paths are looked up as a whole and never joined to a directory. What has
 * not been built is not there.
 */
export class StaticFiles {
  readonly #files = new Map<string, StaticFile>()
  /** Paths that show the page, and those of which one name below does. */
  readonly #pagePaths = new Set<string>()
  readonly #pageParents = new Set<string>()

  /** Throws when a directory holds what cannot be served. */
  constructor({ page, client, reference }: StaticDirectories) {
    if (existsSync(join(client, 'client.js')))
      this.#files.set('/client.js', readFile(client, 'client.js', CLIENT_HEADERS))
    if (existsSync(join(reference, 'docs.html')))
      this.#files.set('/docs', readFile(reference, 'docs.html', referenceHeaders(styleHashOf(reference))))
    if (page === undefined || !existsSync(join(page, 'index.html'))) return
    for (const name of namesIn(page)) this.#files.set(`/${name}`, readFile(page, name, PAGE_HEADERS))
    this.#pagePaths.add('/')
    for (const path of pagePaths(page)) {
      if (path.endsWith('/*')) this.#pageParents.add(path.slice(0, -1))
      else this.#pagePaths.add(path)
    }
  }

  get isEmpty(): boolean {
    return this.#files.size === 0
  }

  /** Undefined when the request is for none of these. */
  answer({ method, path, headers }: RestRequest): RestAnswer | undefined {
    if (method !== 'GET' && method !== 'HEAD') return undefined
    const file = this.#files.get(path) ?? (this.#isPage(path) ? this.#files.get('/index.html') : undefined)
    if (!file) return undefined
    const chosen = chooseEncoding(file, headers.get('accept-encoding') ?? '')
    if (isKnown(chosen.etag, headers.get('if-none-match'))) {
      return { status: 304, body: '', headers: chosen.unchangedHeaders }
    }
    return { status: 200, body: chosen.body, headers: chosen.headers }
  }

  #isPage(path: string): boolean {
    return this.#pagePaths.has(path) || (this.#pageParents.has(parentOf(path)) && !path.endsWith('/'))
  }
}

/** The handler, which is asked for everything but these files, and answers where the name of the service is a foreign one. */
export function withStaticFiles(files: StaticFiles, handler: HttpHandler, hostRule: HostRule): HttpHandler {
  return (request) => (hostRule(request.headers.get('host')) ? files.answer(request) : undefined) ?? handler(request)
}

/** As CSP names what stands within the one style element. */
function styleHashOf(reference: string): string {
  const style = /<style>([\s\S]*?)<\/style>/.exec(readFileSync(join(reference, 'docs.html'), 'utf8'))?.[1] ?? ''
  return createHash('sha256').update(style).digest('base64')
}

/** Up to the last slash, with it. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1)
}

function pagePaths(directory: string): string[] {
  const file = join(directory, PAGE_PATHS_FILE)
  if (!existsSync(file)) return []
  const paths: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const isPath = (path: unknown): path is string => typeof path === 'string' && /^\/[\w/-]*\*?$/.test(path)
  if (!Array.isArray(paths) || !paths.every(isPath)) throw new Error(`${file} is not a list of paths`)
  return paths
}

/** Files to be served, relative to the directory: no hidden ones, no source maps, and the encoded ones with their originals. */
function namesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(directory, sep).length).split(sep).join('/'))
    .filter((name) => name !== PAGE_PATHS_FILE && !/(^|\/)\./.test(name) && !/\.(map|br|gz)$/.test(name))
}

function readFile(directory: string, name: string, common: Headers): StaticFile {
  const type = TYPES[extname(name)]
  if (type === undefined) throw new Error(`${join(directory, name)} has no type that is known here`)
  const cache = HASHED_NAME.test(`/${name}`) ? FOR_EVER : ASK_AGAIN
  const representation = (suffix: '' | keyof typeof ENCODINGS): Representation | undefined => {
    const path = join(directory, name) + suffix
    if (!existsSync(path)) return undefined
    const body = readFileSync(path)
    if (body.length > MAX_FILE_BYTES) throw new Error(`${path} is larger than ${MAX_FILE_BYTES} bytes`)
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
    const unchangedHeaders = { ...common, 'Cache-Control': cache, ETag: etag, Vary: 'Accept-Encoding' }
    const encoding: Headers = suffix === '' ? {} : { 'Content-Encoding': ENCODINGS[suffix] }
    return { body, etag, unchangedHeaders, headers: { 'Content-Type': type, ...encoding, ...unchangedHeaders } }
  }
  const identity = representation('')
  if (!identity) throw new Error(`${join(directory, name)} has gone`)
  return { identity, br: representation('.br'), gzip: representation('.gz') }
}

function chooseEncoding({ identity, br, gzip }: StaticFile, accepted: string): Representation {
  if (br && accepts(accepted, 'br')) return br
  if (gzip && accepts(accepted, 'gzip')) return gzip
  return identity
}

/** Whether the list names the encoding, other than with the weight 0 (RFC 9110, 12.5.3). */
function accepts(list: string, encoding: string): boolean {
  return list.split(',').some((part) => {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    return name === encoding && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
}

/** Whether the client has this representation already (RFC 9110, 13.1.2: compared weakly). */
function isKnown(etag: string, known: string | undefined): boolean {
  if (known === undefined) return false
  return known.trim() === '*' || known.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
}
