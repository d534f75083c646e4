// The lines with which the README puts two instances behind nginx, run as they stand there but for ports, places and passwords.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { changedText } from '../support/changed-text.ts'
import { eventually } from '../support/cluster-instance.ts'
import { compiledUrl } from '../support/compiled.ts'
import { execute } from '../support/databases.ts'
import { freePort } from '../support/free-port.ts'
import { documentSection } from '../support/readme.ts'
import { RedisServer } from '../support/redis.ts'
import { nginxArguments, PROXY_SAMPLES, SampleProxy } from '../support/sample-proxy.ts'

const BLOCK = documentSection('src/deploy/README.md', 'by-hand').replaceAll(/^```.*$/gm, '')
const RELOAD = 'nginx -t && nginx -s reload'
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

let directory: string
let redis: RedisServer
let proxy: SampleProxy | undefined
let shell: ChildProcess | undefined

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  redis = await RedisServer.start()
  const admin = inject('postgresDsn')
  await execute(admin, `create role chat login password 'change-me'`)
  await execute(admin, 'create database chat owner chat')
})
afterAll(async () => {
  // The shell ends what it has started when nobody talks to it any more.
  shell?.stdin?.end()
  if (shell && shell.exitCode === null) await once(shell, 'exit')
  await proxy?.stop()
  await redis?.stop()
  await execute(inject('postgresDsn'), 'drop database chat with (force)')
  await execute(inject('postgresDsn'), 'drop role chat')
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

/** Where the commands of a shell are looked for: what may not be done here notes that it was asked. */
function environment(): Record<string, string> {
  const programs = join(directory, 'bin')
  mkdirSync(programs)
  for (const name of ['sudo', 'apt-get', 'npm']) {
    writeFileSync(join(programs, name), `#!/bin/sh\necho "${name} $@" >> '${join(directory, 'asked')}'\n`)
    chmodSync(join(programs, name), 0o755)
  }
  return { PATH: `${programs}:${process.env['PATH']}`, HOME: directory }
}

test('two instances, nginx and a certificate stand after the lines of the README', async () => {
  const [one, two] = [await freePort(), await freePort()]
  const env = environment()
  const socket = new URL(inject('postgresDsn').replace(':///', '://localhost/')).searchParams
  const lines = changedText('the block', BLOCK, {
    '/etc/ssl/messaging': join(directory, 'ssl'),
    '/etc/nginx/conf.d': directory,
    'src/deploy/nginx/messaging.conf': join(ROOT, 'src/deploy/nginx/messaging.conf'),
    'chat:change-me@127.0.0.1:5432/chat?sslmode=disable': `/chat?user=chat&host=${socket.get('host')}&port=${socket.get('port')}`,
    'REDIS_ADDR=127.0.0.1:6379': `REDIS_ADDR=127.0.0.1:${redis.port}`,
    'redis-cli ': `redis-cli -p ${redis.port} `,
    'PORT=8080': `PORT=${one}`,
    'PORT=8081': `PORT=${two}`,
    '127.0.0.1:8080': `127.0.0.1:${one}`,
    '127.0.0.1:8081': `127.0.0.1:${two}`,
    'node --max-semi-space-size=32 dist/main.js': `'${process.execPath}' '${fileURLToPath(compiledUrl('main.js'))}'`,
    'npx messaging': `'${process.execPath}' '${fileURLToPath(compiledUrl('cli.js'))}'`,
  })
  const [before = '', after = ''] = lines.split(RELOAD)
  expect(after).not.toBe('')
  execFileSync('bash', ['-euo', 'pipefail', '-c', before], { cwd: directory, env, stdio: 'pipe' })
  expect(readFileSync(join(directory, 'asked'), 'utf8').trim().split('\n')).toEqual([
    'apt-get install -y nginx postgresql redis-server openssl curl sudo',
    'npm ci',
    'npm run build',
    'sudo -u postgres createuser --pwprompt chat',
    'sudo -u postgres createdb --owner chat chat',
  ])
  proxy = await startNginx()

  const script = `${changedText('what follows the block', after, {
    'chat.example.com:443': `chat.example.com:${proxy.port}`,
    'https://chat.example.com/healthz': `https://chat.example.com:${proxy.port}/healthz`,
  })}\necho THE END\nread -r _ || true\nkill $(jobs -p)\nwait`
  shell = spawn('bash', ['-uo', 'pipefail', '-c', script], { cwd: directory, env, stdio: ['pipe', 'pipe', 'pipe'] })
  let told = ''
  for (const output of [shell.stdout, shell.stderr]) output?.on('data', (text: Buffer) => (told += text.toString()))
  await eventually(() => told.includes('THE END'), 'the last of the lines')
  const said = told.split('\n')
  expect(said.filter((line) => /^(failed|messaging:)/.test(line))).toEqual([])
  expect(said.filter((line) => /^ok /.test(line)).length).toBeGreaterThan(4)
  expect(said).toContain('200')
  // Both have told Redis, and neither has been forgotten.
  expect(said).toContain('2')
  expect(told).toMatch(/^https:\/\/chat\.example\.com\/#bootstrap=/m)
})

/** nginx with the file that a line of the README has written. */
function startNginx(): Promise<SampleProxy> {
  const [nginx] = PROXY_SAMPLES
  const files = { cert: '', key: '' }
  const prepare: (typeof PROXY_SAMPLES)[number]['prepare'] = ({ directory: own, tlsPort, plainPort }) => {
    const written = changedText('messaging.conf', readFileSync(join(directory, 'messaging.conf'), 'utf8'), {
      'listen 80;': `listen 127.0.0.1:${plainPort};`,
      'listen 443 ssl': `listen 127.0.0.1:${tlsPort} ssl`,
      '/etc/ssl/messaging': join(directory, 'ssl'),
      '/var/log/nginx/access.log': join(own, 'access.log'),
    })
    writeFileSync(join(own, 'messaging.conf'), written)
    return nginxArguments(own)
  }
  return SampleProxy.start({ ...nginx!, prepare }, files, ['', ''])
}
