/** Centrifugo as a subject, in one of four ways to keep what is published; the program is the operator's own. */
import type { Role } from './cost.ts'
import { goVersion, makeProgramFolder, startProgram } from './go-program.ts'
import type { Lab } from './lab.ts'
import { freePort, startRedis } from './redis.ts'
import type { RunningSubject, Subject } from './subjects.ts'

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
  const folder = makeProgramFolder('centrifugo', {
    ...config,
    http_server: { address: '127.0.0.1', port: String(port) },
  })
  try {
    const { pid, stop } = await startProgram(program, ['--config', folder.config], folder, port)
    return { pid, port, recentLog: folder.recentLog, stop: () => stop().finally(folder.remove) }
  } catch (error) {
    folder.remove()
    throw error
  }
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

export function centrifugoVersion(program: string): string {
  return goVersion(program, 'github.com/centrifugal/centrifugo/')
}
