import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'

const run = promisify(execFile)
const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')
const [, check = ''] = /^HEALTHCHECK .*? CMD (\[.*\])$/m.exec(dockerfile) ?? []
const [, ...args]: string[] = JSON.parse(check)
// It says whom it would ask, and asks nobody.
const PRELOAD = 'globalThis.fetch = async (url) => { console.log(url); return { ok: true } }'

async function askedUrl(env: Readonly<Record<string, string>>): Promise<string> {
  const options = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(PRELOAD)}` }
  const { stdout } = await run(process.execPath, args, { env: { ...env, ...options } })
  return stdout.trim()
}

test.each([
  ['an empty', ''],
  ['a set', '9000'],
])('with %s PORT the image asks after its health where the service listens', async (_how, PORT) => {
  const { port } = loadConfig({ PORT }).http
  expect(await askedUrl({ PORT })).toBe(`http://127.0.0.1:${port}/healthz`)
})

test('with TLS the image asks after its health by https', async () => {
  expect(await askedUrl({ PORT: '8443', TLS_CERT_FILE: 'cert.pem' })).toBe('https://127.0.0.1:8443/healthz')
})

test('the image, `npm start` and the benches start Node with the same options', () => {
  const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(dockerfile) ?? []
  const [, options] = /exec node (.*) dist\/main\.js/.exec(JSON.parse(text('package.json')).scripts.start) ?? []
  const [, measured] = /usualArguments = \['(.*)'\]/.exec(text('bench/lib/server-process.ts')) ?? []
  expect(options).toBe('--max-semi-space-size=32')
  expect([JSON.parse(command), measured]).toEqual([['node', options, 'dist/main.js'], options])
})
