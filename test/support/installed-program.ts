// Programs that the tests need and npm does not bring: found on PATH, or installed where that is possible without asking.
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface ProgramSource {
  /** Names under which it may be on PATH, the best first. */
  readonly programs: readonly string[]
  /** Package of Debian and Ubuntu that brings it. */
  readonly package: string
  /** For the installation. */
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves with the path of a program; rejects with what a person can do. */
export async function installedProgram({ programs, package: name, env }: ProgramSource): Promise<string> {
  const found = onPath(programs)
  if (found) return found
  const install = ['install', '-y', '--no-install-recommends', name]
  if (process.getuid?.() === 0) {
    const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', ...env } }
    await run('apt-get', ['update'], options).catch(() => undefined)
    await run('apt-get', install, options).catch(() => undefined)
  }
  const installed = onPath(programs)
  if (installed) return installed
  const advice = `On Debian or Ubuntu: sudo apt-get ${install.join(' ')}`
  throw new Error(`The tests need ${programs.join(' or ')} on PATH. ${advice}`)
}

/** The first of these programs that is on PATH. */
export function onPath(programs: readonly string[]): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter)
  return programs.flatMap((program) => places.map((place) => join(place, program))).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // not there; the next place is looked at
  }
}
