import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const startDeadlineMs = 30_000
/** The service drains for up to half a minute. */
const stopDeadlineMs = 60_000
const logLinesKept = 20

/** A server in a process of its own. */
export interface ServerProcess {
  readonly pid: number
  readonly port: number
  /** The last lines it wrote, for the report of a run that failed. */
  recentLog(): string
  /** Asks it to end and waits; kills it when it does not. */
  stop(): Promise<void>
}

/**
 * Options of Node with which `npm start` and the image start the service (src/DECISIONS.md, "Young objects get 32 MiB"). Every
 * server under measurement gets them, the peers too.
 */
const usualArguments = ['--max-semi-space-size=32']

/**
 * Starts `node <nodeArguments> <file>` and waits for its JSON line with `"msg":"listening"` and a port, or for so many of them as
 * it has `listeners`.
 */
export async function startServer(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  nodeArguments: readonly string[] = [],
  listeners = 1,
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [...usualArguments, ...nodeArguments, file], {
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const recent: string[] = []
  let listening = 0
  const port = await new Promise<number>((resolve, reject) => {
    const fail = (reason: string) => reject(new Error(`${file} ${reason}\n${recent.join('\n')}`))
    const deadline = setTimeout(() => fail('did not listen in time'), startDeadlineMs)
    const take = (line: string) => {
      remember(recent, line)
      const found = listeningPort(line)
      if (found === undefined || ++listening < listeners) return
      clearTimeout(deadline)
      resolve(found)
    }
    readLines(child, take)
    child.on('error', (error) => fail(error.message))
    child.on('exit', (code) => fail(`ended with ${code}`))
  }).catch((error: unknown) => {
    child.kill('SIGKILL')
    throw error
  })
  return { pid: child.pid ?? 0, port, recentLog: () => recent.join('\n'), stop: () => stop(child) }
}

function readLines(child: ChildProcess, take: (line: string) => void): void {
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', take)
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', take)
}

function remember(recent: string[], line: string): void {
  recent.push(line)
  if (recent.length > logLinesKept) recent.shift()
}

function listeningPort(line: string): number | undefined {
  if (!line.startsWith('{') || !line.includes('"listening"')) return undefined
  const { msg, port }: { msg?: unknown; port?: unknown } = JSON.parse(line)
  return msg === 'listening' && typeof port === 'number' ? port : undefined
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const deadline = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs)
  await ended
  clearTimeout(deadline)
}
