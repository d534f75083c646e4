// The proxies of src/deploy, run as they are written there but for addresses, ports and the certificate.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Certificate } from './certificate.ts'
import { changedText } from './changed-text.ts'
import { eventually } from './cluster-instance.ts'
import { freePort } from './free-port.ts'
import { installedProgram, onPath, type ProgramSource } from './installed-program.ts'

/** What takes the place of the addresses in a sample. */
export interface Places {
  /** An empty directory. */
  readonly directory: string
  readonly cert: string
  readonly key: string
  readonly tlsPort: number
  readonly plainPort: number
  /** Addresses of the two instances, `host:port`. */
  readonly instances: readonly [string, string]
}

export interface ProxySample {
  readonly name: string
  readonly source: ProgramSource
  /** Prints the version. */
  readonly versionArgs: readonly string[]
  /** Writes the files that the program reads; returns its arguments. */
  prepare(places: Places): readonly string[]
  /** Whether it asks another instance when one answers an upgrade with 503. */
  readonly triesNextInstance: boolean
  /** Whether it asks /readyz, and answers by itself while nobody is ready. */
  readonly asksReadiness: boolean
  /** Whether it takes WebSockets over HTTP/2. */
  readonly hasHttp2Sockets: boolean
  /** Whether the sample says how plain HTTP is answered; Caddy redirects by itself, from the real ports alone. */
  readonly redirects: boolean
}

const deploy = fileURLToPath(new URL('../../src/deploy/', import.meta.url))

/** A sample with other texts in these places. */
function changed(path: string, texts: Readonly<Record<string, string>>): string {
  return changedText(path, readFileSync(join(deploy, path), 'utf8'), texts)
}

/** Packaged daemons are not started at run level 1. */
const env = { RUNLEVEL: '1' }

/** Writes the whole nginx.conf of the samples into a directory that has messaging.conf already. */
export function nginxArguments(directory: string): readonly string[] {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const folders = kinds.map((kind) => `${kind}_temp_path ${join(directory, kind)};`)
  const whole = changed('nginx/nginx.conf', {
    // The user of the image; whoever is not root stays who they are.
    'user nginx;': process.getuid?.() === 0 ? 'user www-data;' : '',
    'worker_processes auto;': 'daemon off; master_process off; worker_processes 1;',
    '/var/log/nginx/error.log': 'stderr',
    '/run/nginx.pid': join(directory, 'nginx.pid'),
    'include /etc/nginx/conf.d/messaging.conf;': `${folders.join(' ')} include messaging.conf;`,
  })
  writeFileSync(join(directory, 'nginx.conf'), whole)
  return ['-e', 'stderr', '-p', directory, '-c', join(directory, 'nginx.conf')]
}

const NGINX: ProxySample = {
  name: 'nginx',
  source: { programs: ['nginx'], package: 'nginx-light', env },
  versionArgs: ['-v'],
  triesNextInstance: true,
  asksReadiness: false,
  hasHttp2Sockets: false,
  redirects: true,
  prepare({ directory, cert, key, tlsPort, plainPort, instances: [one, two] }) {
    const sample = changed('nginx/messaging.conf', {
      '10.213.61.11:8080': one,
      '10.213.61.12:8080': two,
      'listen 80;': `listen 127.0.0.1:${plainPort};`,
      'listen 443 ssl': `listen 127.0.0.1:${tlsPort} ssl`,
      'chat.example.com;': 'localhost;',
      '/etc/ssl/messaging/fullchain.pem': cert,
      '/etc/ssl/messaging/privkey.pem': key,
      '/var/log/nginx/access.log': join(directory, 'access.log'),
    })
    writeFileSync(join(directory, 'messaging.conf'), sample)
    return nginxArguments(directory)
  },
}

const HAPROXY: ProxySample = {
  name: 'HAProxy',
  source: { programs: ['haproxy'], package: 'haproxy', env },
  versionArgs: ['-v'],
  triesNextInstance: true,
  asksReadiness: true,
  hasHttp2Sockets: true,
  redirects: true,
  prepare({ directory, cert, key, tlsPort, plainPort, instances: [one, two] }) {
    const both = join(directory, 'messaging.pem')
    writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
    const file = join(directory, 'haproxy.cfg')
    const sample = changed('haproxy/haproxy.cfg', {
      '10.213.61.11:8080': one,
      '10.213.61.12:8080': two,
      'bind :80': `bind 127.0.0.1:${plainPort}`,
      'bind :443': `bind 127.0.0.1:${tlsPort}`,
      '/etc/haproxy/messaging.pem': both,
      ...(process.getuid?.() !== 0 && { 'user haproxy': '', 'group haproxy': '', 'chroot /var/lib/haproxy': '' }),
    })
    writeFileSync(file, sample)
    return ['-db', '-f', file]
  },
}

const CADDY: ProxySample = {
  name: 'Caddy',
  source: { programs: ['caddy'], package: 'caddy', env },
  versionArgs: ['version'],
  triesNextInstance: false,
  asksReadiness: true,
  hasHttp2Sockets: false,
  redirects: false,
  prepare({ directory, cert, key, tlsPort, plainPort, instances: [one, two] }) {
    const sample = changed('caddy/Caddyfile', {
      '10.213.61.11:8080': one,
      '10.213.61.12:8080': two,
      'chat.example.com {': `https://localhost:${tlsPort}, https://127.0.0.1:${tlsPort} {`,
      '# With a certificate of your own: tls /etc/ssl/messaging/fullchain.pem /etc/ssl/messaging/privkey.pem': `tls ${cert} ${key}`,
    })
    const file = join(directory, 'Caddyfile')
    // What it redirects from port 80 by itself needs the real ports.
    const options = `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n\thttp_port ${plainPort}\n}\n`
    writeFileSync(file, options + sample)
    return ['run', '--config', file, '--adapter', 'caddyfile']
  },
}

export const PROXY_SAMPLES: readonly ProxySample[] = [NGINX, HAPROXY, CADDY]

/** The version of an installed program as it says it; undefined where there is none. */
export function versionOf({ source, versionArgs }: Pick<ProxySample, 'source' | 'versionArgs'>): string | undefined {
  const program = onPath(source.programs)
  if (!program) return undefined
  // nginx says it on standard error.
  const said = execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1', program, ...versionArgs], { encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(said)?.[0]
}

/** One running proxy. */
export class SampleProxy {
  readonly port: number
  readonly plainPort: number
  /** With what it has written there. */
  readonly directory: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, { tlsPort, plainPort, directory }: Places) {
    this.#child = child
    this.port = tlsPort
    this.plainPort = plainPort
    this.directory = directory
  }

  static async start(
    sample: ProxySample,
    certificate: Certificate,
    instances: readonly [string, string],
  ): Promise<SampleProxy> {
    const program = await installedProgram(sample.source)
    const directory = await mkdtemp(join(tmpdir(), 'messaging-proxy-'))
    const places = { directory, ...certificate, instances, tlsPort: await freePort(), plainPort: await freePort() }
    const args = sample.prepare(places)
    // It does not outlive a test run that is killed.
    const [command, before] =
      process.platform === 'linux' ? ['setpriv', ['--pdeathsig', 'KILL', program]] : [program, []]
    const child = spawn(command, [...before, ...args], {
      cwd: directory,
      env: { PATH: process.env['PATH'] ?? '', HOME: directory },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (text: Buffer) => {
      said = (said + text.toString()).slice(-2_000)
    })
    const proxy = new SampleProxy(child, places)
    const isListening = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error('it has ended')
      return accepts(places.tlsPort)
    }
    await eventually(isListening, `${sample.name} to listen`).catch(async (error: unknown) => {
      await proxy.stop()
      throw new Error(`${String(error)}\n${said}`)
    })
    return proxy
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.kill('SIGKILL')
      await exited
    }
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
