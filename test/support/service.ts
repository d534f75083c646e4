// The compiled service as a process of its own, as a user runs it: tests can signal it, kill it and read its log.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll } from 'vitest'
import { type CompiledPart, type CompiledSources, copyCompiled, programFile } from './compiled.ts'
import { placeCluster } from './databases.ts'
import { within } from './deadline.ts'

export type Environment = Readonly<Record<string, string>>

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What a client needs to know of a service, in this process or another. */
export interface Target {
  readonly port: number
}

const START_LIMIT_MS = 120_000
/** What a draining service says when a second signal is no longer taken for the first one told twice. */
export const STILL_DRAINING = 'still draining; one more signal ends it at once'

/** One process of the service; environment variables are only those given, and `PORT=0`. */
export class ServiceProcess implements Target {
  readonly logs: LogLine[] = []
  readonly exited: Promise<Exit>
  /** Text on standard error. */
  stderr = ''
  readonly #child: ChildProcess
  #watchers: (() => void)[] = []
  #hasExited = false

  /** `command`: what runs it, if not this Node. */
  constructor(
    mainFile: string,
    env: Environment,
    [program, ...options]: readonly [string, ...string[]] = [process.execPath],
  ) {
    const child = spawn(program, [...options, mainFile], {
      env: { PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.logs.push(JSON.parse(line))
      this.#changed()
    })
    child.stderr.on('data', (text: Buffer) => {
      this.stderr += text.toString()
    })
    this.exited = once(child, 'close').then(([code, signal]) => {
      this.#hasExited = true
      this.#changed()
      return { code, signal }
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }
  get hasExited(): boolean {
    return this.#hasExited
  }
  get port(): number {
    return Number(this.logs.find(({ msg }) => msg === 'listening')?.port)
  }

  /** Resolves with the first line that matches, past or to come. */
  logged(matches: (line: LogLine) => boolean, limitMs?: number): Promise<LogLine> {
    const found = new Promise<LogLine>((resolve, reject) => {
      const look = (): void => {
        const line = this.logs.find(matches)
        if (line) resolve(line)
        else if (this.#hasExited) reject(new Error(`the service has ended\n${this.#story()}`))
        else this.#watchers.push(look)
      }
      look()
    })
    return within(found, () => `a line of the log\n${this.#story()}`, limitMs)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.signal(signal)
    return within(this.exited, () => `the end after ${signal}\n${this.#story()}`, 90_000)
  }

  async kill9(): Promise<void> {
    if (!this.#hasExited) await this.stop('SIGKILL')
  }

  #changed(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const look of watchers) look()
  }

  #story(): string {
    return [...this.logs.slice(-20).map((line) => JSON.stringify(line)), this.stderr].join('\n')
  }
}

export interface Services {
  /** Starts a process and resolves when it listens. */
  start(env: Environment): Promise<ServiceProcess>
  /** Starts a process that may fail to listen. */
  launch(env: Environment): ServiceProcess
  /**
   * A directory of programs that are this test file's own, so that it may put others beside them. What is started from then on
   * runs from there.
   */
  ownFiles(): Promise<string>
  /** A directory of its own for `DATA_DIR`, removed at the end. */
  dataDir(): Promise<string>
  /** One with a cluster in it, as a start has left it that made one. */
  dataDirWithCluster(): Promise<string>
}

/** For the top of a test file: leaves no process and no directory behind. */
export function useServices(part: CompiledPart = 'bundle'): Services {
  const processes: ServiceProcess[] = []
  const directories: string[] = []
  let own: CompiledSources | undefined
  afterAll(async () => {
    await Promise.all(processes.map((service) => service.kill9()))
    await own?.remove()
    // A killed service's PostgreSQL ends a moment after it and may still write.
    await Promise.all(directories.map((path) => rm(path, { recursive: true, force: true, maxRetries: 10 })))
  })
  const launch = (env: Environment): ServiceProcess => {
    const main = own ? join(own.directory, 'dist', 'main.js') : programFile('main.js', part)
    const service = new ServiceProcess(main, env)
    processes.push(service)
    return service
  }
  const dataDir = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'messaging-test-'))
    directories.push(path)
    return path
  }
  return {
    launch,
    dataDir,
    async dataDirWithCluster() {
      const path = await dataDir()
      await placeCluster(path)
      return path
    },
    async ownFiles() {
      own ??= await copyCompiled(part)
      return join(own.directory, 'dist')
    },
    async start(env) {
      const service = launch(env)
      await service.logged(({ msg }) => msg === 'listening', START_LIMIT_MS)
      return service
    },
  }
}
