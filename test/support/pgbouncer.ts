// A real PgBouncer in front of the run's PostgreSQL; where none is installed its tests are skipped.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ProgramSource } from './installed-program.ts'

const PORT = 6432

export const PGBOUNCER: ProgramSource = { programs: ['pgbouncer'], package: 'pgbouncer', env: { RUNLEVEL: '1' } }

/** Undefined: there is none on this machine. */
export const pgBouncerVersion = (() => {
  try {
    return /PgBouncer (\S+)/.exec(execFileSync('pgbouncer', ['--version'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
})()

export interface PgBouncer {
  /** Leads to the same database and role, through the pooler. */
  readonly dsn: string
  stop(): Promise<void>
}

/** Starts one as the account of the server, for which alone its socket is open. */
export async function startPgBouncer(
  serverDsn: string,
  settings: Readonly<Record<string, string>>,
): Promise<PgBouncer> {
  const url = new URL(serverDsn)
  const socketDir = url.searchParams.get('host') ?? ''
  const { uid, gid } = await stat(socketDir)
  const directory = await mkdtemp('/tmp/messaging-bouncer-')
  await chown(directory, uid, gid)
  const database = url.pathname.slice(1)
  const file = join(directory, 'pgbouncer.ini')
  const common = { listen_port: PORT, unix_socket_dir: directory, auth_type: 'any', logfile: '', pidfile: '' }
  await writeFile(
    file,
    [
      '[databases]',
      `${database} = host=${socketDir} port=5432 dbname=${database} user=postgres`,
      '[pgbouncer]',
      ...Object.entries({ ...common, ...settings }).map(([name, value]) => `${name} = ${value}`),
    ].join('\n'),
  )
  const child = spawn('pgbouncer', [file], { uid, gid, stdio: ['ignore', 'ignore', 'pipe'] })
  await listening(child)
  url.searchParams.set('host', directory)
  url.searchParams.set('port', String(PORT))
  return {
    dsn: url.href,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function listening(child: ChildProcess): Promise<void> {
  if (!child.stderr) throw new Error('PgBouncer has no log')
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line)
    if (line.includes('process up')) return void child.stderr.resume()
  }
  throw new Error(`PgBouncer did not start: ${lines.join('\n')}`)
}
