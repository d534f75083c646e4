/** Peers that are programs of their own, which the operator gives. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { answers } from './redis.ts'

const startDeadlineMs = 20_000
const pollMs = 20
const logLettersKept = 4000

/** A folder for one run, with the configuration of a program, and what it logs. */
export interface ProgramFolder {
  readonly path: string
  /** The configuration's file. */
  readonly config: string
  recentLog(): string
  remove(): void
}

export interface RunningProgram {
  readonly pid: number
  /** Asks it to end and waits. */
  stop(): Promise<void>
}

export function makeProgramFolder(name: string, config: object): ProgramFolder {
  const path = mkdtempSync(join(tmpdir(), `bench-${name}-`))
  const file = join(path, 'config.json')
  writeFileSync(file, JSON.stringify(config))
  writeFileSync(join(path, logName), '')
  return {
    path,
    config: file,
    recentLog: () => readFileSync(join(path, logName), 'utf8').slice(-logLettersKept),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** Straight into a file: what a talkative program logs is nothing that the bench should have to read meanwhile. */
const logName = 'log'

/** Runs a program in its folder until it ends by itself; throws with its log when it fails. */
export async function runProgram(program: string, args: readonly string[], folder: ProgramFolder): Promise<void> {
  const child = await start(program, args, folder)
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${program} ended with ${code}\n${folder.recentLog()}`)
}

/** Starts a program in its folder and waits until it listens on this port of 127.0.0.1. */
export async function startProgram(
  program: string,
  args: readonly string[],
  folder: ProgramFolder,
  port: number,
): Promise<RunningProgram> {
  const child = await start(program, args, folder)
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  for (const endMs = performance.now() + startDeadlineMs; !(await answers(port)); await wait(pollMs)) {
    if (child.exitCode === null && performance.now() < endMs) continue
    await stop()
    throw new Error(`${program} did not listen\n${folder.recentLog()}`)
  }
  return { pid: child.pid ?? 0, stop }
}

async function start(program: string, args: readonly string[], { path }: ProgramFolder): Promise<ChildProcess> {
  const log = openSync(join(path, logName), 'a')
  const child = spawn(resolve(program), args, { cwd: path, stdio: ['ignore', log, log] })
  closeSync(log)
  await once(child, 'spawn').catch((error: unknown) => {
    throw new Error(`${program} cannot be run`, { cause: error })
  })
  return child
}

/**
 * The version of a program's main module that Go's build information names: one that was built by hand may call itself by
 * another name, or by none.
 */
export function goVersion(program: string, module: string): string {
  const bytes = readFileSync(program)
  const at = bytes.indexOf(`mod\t${module}`)
  const line = at < 0 ? '' : bytes.toString('latin1', at, bytes.indexOf('\n', at))
  return /\tv[\w.+-]+/.exec(line)?.[0].trim() ?? 'of unknown version'
}
