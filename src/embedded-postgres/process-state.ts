import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What tells a process from a later one with the same number. */
export interface ProcessState {
  /** The command line, arguments separated by blanks. */
  readonly command: string
  /** The name of the program, without its path; where there is no /proc a path with a blank in it spoils this. */
  readonly program: string
  /** Start time in the system's own notation, without blanks. */
  readonly startedAt: string
}

/** Looks a process up; undefined when there is none, or only a zombie. */
export async function describeProcess(pid: number): Promise<ProcessState | undefined> {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

/** Names a process for ever: its number and its start time. */
export async function processToken(pid: number): Promise<string> {
  const state = await describeProcess(pid)
  return `${pid}-${state?.startedAt ?? 'unknown'}`
}

/** Whether the process that a token names is still running. */
export async function isRunning(token: string): Promise<boolean> {
  const [pid, startedAt] = token.split('-', 2)
  const state = await describeProcess(Number(pid))
  return state !== undefined && state.startedAt === startedAt
}

async function fromProc(pid: number): Promise<ProcessState | undefined> {
  try {
    const [stat, cmdline] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
    ])
    // proc(5): the name in brackets may hold anything; after it come state (field 3) … starttime (field 22).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    const program = basename(cmdline.split('\0', 1)[0] ?? '')
    return { command: cmdline.replaceAll('\0', ' ').trim(), program, startedAt: fields[19] ?? 'unknown' }
  } catch {
    // ENOENT before or ESRCH between the two reads: the process is gone.
    return undefined
  }
}

async function fromPs(pid: number): Promise<ProcessState | undefined> {
  try {
    const [commandLine, started] = await Promise.all([
      run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]),
      run('ps', ['-o', 'lstart=', '-p', String(pid)]),
    ])
    const command = commandLine.stdout.trim()
    const program = basename(command.split(' ', 1)[0] ?? '')
    return { command, program, startedAt: started.stdout.trim().replaceAll(/\s+/g, '_') }
  } catch {
    // ps exits with 1 when there is no such process.
    return undefined
  }
}
