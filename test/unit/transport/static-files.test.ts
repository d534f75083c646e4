import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { HttpHandler, RestAnswer, RestRequest } from '../../../src/gateway/rest-exchange.ts'
import { StaticFiles, withStaticFiles } from '../../../src/transport/static-files.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'messaging-static-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function write(name: string, content: string | Buffer): void {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

const SCRIPT = 'console.log("hello")'

function writePage(): void {
  write('web/index.html', '<!doctype html>')
  write('web/paths.json', '["/settings", "/c/*"]')
  write('web/sw.js', 'self')
  write('web/assets/app-Ab3_x-9Z.js', SCRIPT)
  write('web/assets/app-Ab3_x-9Z.js.br', brotliCompressSync(SCRIPT))
  write('web/assets/app-Ab3_x-9Z.js.gz', gzipSync(SCRIPT))
  write('web/assets/app-Ab3_x-9Z.js.map', '{}')
  write('web/.secret', 'hidden')
}

const built = (isOn = true): StaticFiles =>
  new StaticFiles({
    page: isOn ? join(directory, 'web') : undefined,
    client: join(directory, 'client'),
    reference: join(directory, 'docs'),
  })

function ask(files: StaticFiles, path: string, headers: Record<string, string> = {}, method = 'GET') {
  const request: RestRequest = {
    method,
    path,
    query: '',
    headers: new Map(Object.entries(headers)),
    body: '',
    requestId: 'r',
    address: () => '192.0.2.1',
  }
  return files.answer(request)
}

const textOf = (answer: RestAnswer | undefined): string | undefined => answer?.body.toString()
const APP = '/assets/app-Ab3_x-9Z.js'

describe('the page', () => {
  beforeEach(writePage)

  test.each(['/', '/index.html', '/settings', '/c/bob'])('is shown at %s', (path) => {
    const answer = ask(built(), path)
    expect([answer?.status, textOf(answer)]).toEqual([200, '<!doctype html>'])
    expect(answer?.headers).toMatchObject({ 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-cache' })
  })

  test.each([
    '/assets/gone-Ab3_x-9Z.js',
    '/c/',
    '/c',
    '/c/bob/more',
    '/settings/more',
    '/elsewhere',
    '/api/messages',
    '/healthz',
    '/ws',
    '//',
    '/.secret',
    '/paths.json',
    '/assets',
    '/assets/../index.html',
    '/%2e%2e/etc/passwd',
    `${APP}.map`,
    `${APP}.br`,
    'index.html',
    '__proto__',
  ])('is not shown at %s', (path) => {
    expect(ask(built(), path)).toBeUndefined()
  })

  test('lets nothing run that is not its own', () => {
    const policy = String(ask(built(), '/')?.headers['Content-Security-Policy'])
    for (const part of [
      "default-src 'none'",
      "script-src 'self'",
      "require-trusted-types-for 'script'",
      'trusted-types app',
      "frame-ancestors 'none'",
      "form-action 'none'",
      "base-uri 'none'",
    ]) {
      expect(policy.split('; ')).toContain(part)
    }
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(ask(built(), '/')?.headers).toMatchObject({
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Permissions-Policy': expect.stringContaining('camera=()'),
    })
  })

  test('is kept for ever where its name holds a hash, and asked for again elsewhere', () => {
    expect(ask(built(), APP)?.headers['Cache-Control']).toBe('public, max-age=31536000, immutable')
    expect(ask(built(), '/sw.js')?.headers['Cache-Control']).toBe('no-cache')
  })

  test.each([
    ['br, gzip', 'br', brotliCompressSync(SCRIPT)],
    ['gzip, deflate, br', 'br', brotliCompressSync(SCRIPT)],
    ['BR;q=0.1', 'br', brotliCompressSync(SCRIPT)],
    ['gzip', 'gzip', gzipSync(SCRIPT)],
    ['br;q=0, gzip', 'gzip', gzipSync(SCRIPT)],
    ['br; q=0.000', undefined, Buffer.from(SCRIPT)],
    ['brotli', undefined, Buffer.from(SCRIPT)],
    ['', undefined, Buffer.from(SCRIPT)],
  ])('to a client that accepts %j goes as %s', (accepted, encoding, body) => {
    const answer = ask(built(), APP, { 'accept-encoding': accepted })
    expect(answer?.headers['Content-Encoding']).toBe(encoding)
    expect(answer?.headers.Vary).toBe('Accept-Encoding')
    expect(Buffer.from(answer?.body ?? '').equals(body)).toBe(true)
  })

  test('is not sent again to a client that has it', () => {
    const files = built()
    const etag = String(ask(files, '/')?.headers.ETag)
    expect(etag).toMatch(/^"[\w-]{22}"$/)
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = ask(files, '/', { 'if-none-match': known })
      expect([answer?.status, textOf(answer), answer?.headers.ETag]).toEqual([304, '', etag])
      expect(answer?.headers).not.toHaveProperty('Content-Type')
    }
    expect(ask(files, '/', { 'if-none-match': '"other"' })?.status).toBe(200)
  })

  test('has a tag for each encoding', () => {
    const tags = ['br', 'gzip', ''].map((accepted) => ask(built(), APP, { 'accept-encoding': accepted })?.headers.ETag)
    expect(new Set(tags).size).toBe(3)
  })

  test('answers HEAD like GET and leaves other methods to others', () => {
    expect(ask(built(), '/', {}, 'HEAD')).toEqual(ask(built(), '/'))
    expect(ask(built(), '/', {}, 'POST')).toBeUndefined()
  })

  test('is not there when it is switched off or was not built', () => {
    expect(ask(built(false), '/')).toBeUndefined()
    expect(built(false).isEmpty).toBe(true)
    rmSync(join(directory, 'web'), { recursive: true })
    expect(built().isEmpty).toBe(true)
  })

  test.each([
    ['a file of an unknown type', 'web/app.exe', 'MZ', /app\.exe/],
    ['a file that is too large', 'web/large.js', Buffer.alloc(2 * 1024 * 1024 + 1), /large\.js/],
    ['paths that are no list of paths', 'web/paths.json', '["settings"]', /paths\.json/],
  ])('stops the start with %s', (_what, name, content, message) => {
    write(name, content)
    expect(() => built()).toThrow(message)
  })
})

test('the SDK may be imported by pages of any origin, also without the page', () => {
  write('client/client.js', 'export {}')
  const answer = ask(built(false), '/client.js')
  expect(textOf(answer)).toBe('export {}')
  expect(answer?.headers).toMatchObject({
    'Access-Control-Allow-Origin': '*',
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'Content-Type': 'text/javascript; charset=utf-8',
    'Cache-Control': 'no-cache',
  })
})

test('the reference is at /docs, also without the page, and its policy names its one style', () => {
  const style = 'p { color: red }'
  const html = `<!doctype html><style>${style}</style>`
  write('docs/docs.html', html)
  write('docs/docs.html.br', brotliCompressSync(html))
  const answer = ask(built(false), '/docs')
  expect([answer?.status, textOf(answer)]).toEqual([200, html])
  const hash = createHash('sha256').update(style).digest('base64')
  expect(answer?.headers).toMatchObject({
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
  })
  expect(ask(built(false), '/docs', { 'accept-encoding': 'br' })?.headers).toMatchObject({ 'Content-Encoding': 'br' })
  for (const path of ['/docs/', '/docs.html', '/docs/docs.html']) expect(ask(built(), path)).toBeUndefined()
})

test('everything else is for the handler behind it', () => {
  writePage()
  const asked: string[] = []
  const behind: HttpHandler = ({ path }) => {
    asked.push(path)
    return { status: 404, body: '', headers: {} }
  }
  const handler = withStaticFiles(built(), behind, (host) => host !== 'evil.example')
  const get = (path: string, headers: [string, string][] = []): void =>
    void handler({
      method: 'GET',
      path,
      query: '',
      headers: new Map(headers),
      body: '',
      requestId: 'r',
      address: () => '',
    })
  for (const path of ['/', '/api/messages', APP, '/assets/gone.js']) get(path)
  expect(asked).toEqual(['/api/messages', '/assets/gone.js'])
  for (const path of ['/', APP, '/client.js']) get(path, [['host', 'evil.example']])
  expect(asked.slice(2)).toEqual(['/', APP, '/client.js'])
})
