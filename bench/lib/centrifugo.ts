/** Centrifugo as a subject, in one of four ways to keep what is published; the program is the operator's own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Role } from './cost.ts'
import type { Lab } from './lab.ts'
import { answers, freePort, startRedis } from './redis.ts'
import type { RunningSubject, Subject } from './subjects.ts'

const startDeadlineMs = 20_000
const pollMs = 20

/** `memory` keeps nothing, the others the last 100 publications of each conversation for five minutes. */
export const centrifugoSubjects = [
  'centrifugo-memory',
  'centrifugo-history',
  'centrifugo-redis',
  'centrifugo-postgres',
] as const
type Name = (typeof centrifugoSubjects)[number]

export function isCentrifugo(name: string): name is Name {
  return centrifugoSubjects.some((known) => known === name)
}

/** What it keeps publications in, started for one run. */
interface Keeping {
  readonly config: object
  readonly roles: readonly Role[]
  stop(): Promise<void>
}

const nothing: Keeping = { config: {}, roles: [], stop: async () => undefined }

export function centrifugoSubject(name: Name, program: string): Subject {
  return {
    name,
    async start(lab) {
      const keeping = await keepingOf(name, lab)
      const server = await start(program, configOf(name, keeping)).catch(async (error: unknown) => {
        await keeping.stop()
        throw error
      })
      return {
        ...describe(name, server),
        roles: [{ name: 'service', pid: server.pid, withChildren: false }, ...keeping.roles],
        stop: () => server.stop().finally(keeping.stop),
      }
    },
  }
}

async function keepingOf(name: Name, { postgres }: Lab): Promise<Keeping> {
  if (name === 'centrifugo-redis') {
    const redis = await startRedis()
    const config = { broker: { enabled: true, type: 'redis', redis: { address: `redis://${redis.address}` } } }
    return { config, roles: [redis.role], stop: redis.stop }
  }
  if (name !== 'centrifugo-postgres') return nothing
  const database = await postgres.createDatabase()
  // As bytes, the cheaper way, and as written: JSONB would move the fields.
  const config = { broker: { enabled: true, type: 'postgres', postgres: { dsn: database.dsn, binary_data: true } } }
  return { config, roles: postgres.role === undefined ? [] : [postgres.role], stop: database.drop }
}

function configOf(name: Name, { config }: Keeping): object {
  const history = name === 'centrifugo-memory' ? {} : { history_size: 100, history_ttl: '300s' }
  return {
    ...config,
    // Nobody has to prove who they are, as with AUTH=none. Whoever waits long for PostgreSQL answers pings too late.
    client: { insecure: true, allowed_origins: ['*'], channel_limit: 1000, ping_interval: '300s' },
    channel: { without_namespace: history },
    log: { level: 'warn' },
  }
}

interface Program {
  readonly pid: number
  readonly port: number
  recentLog(): string
  stop(): Promise<void>
}

async function start(program: string, config: object): Promise<Program> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'bench-centrifugo-'))
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({ ...config, http_server: { address: '127.0.0.1', port: String(port) } }))
  const child = spawn(program, ['--config', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  const note = (text: Buffer): void => {
    log = `${log}${text}`.slice(-4000)
  }
  child.stdout.on('data', note)
  child.stderr.on('data', note)
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  for (const endMs = performance.now() + startDeadlineMs; !(await answers(port)); await wait(pollMs)) {
    if (child.exitCode === null && performance.now() < endMs) continue
    await stop()
    throw new Error(`${program} did not listen\n${log}`)
  }
  return { pid: child.pid ?? 0, port, recentLog: () => log, stop }
}

function describe(name: Name, server: Program): Omit<RunningSubject, 'roles' | 'stop'> {
  return {
    name,
    pid: server.pid,
    host: '127.0.0.1',
    port: server.port,
    protocol: 'centrifugo',
    // Without a history a publication has no number, and each person's are counted alone.
    numbering: name === 'centrifugo-memory' ? 'sender' : 'conversation',
    userPrefix: 'u',
    knowsAck: false,
    storageFaults: async () => [],
    recentLog: server.recentLog,
  }
}

/** The version that Go's build information names: a program that was built by hand calls itself v0.0.0. */
export function centrifugoVersion(program: string): string {
  const bytes = readFileSync(program)
  const at = bytes.indexOf('mod\tgithub.com/centrifugal/centrifugo/')
  return /\tv[\w.+-]+/.exec(bytes.toString('latin1', at, at + 200))?.[0].trim() ?? 'of unknown version'
}
