// A play that this machine cannot give is neither passed nor failed, and must not look like either.
import { execFile } from 'node:child_process'

/** As automake has it: the test was skipped. */
export const SKIPPED_EXIT_CODE = 77

export class Missing extends Error {
  constructor(what: string) {
    super(`skipped: ${what}`)
    this.name = 'Missing'
  }
}

export function requireRoot(purpose: string): void {
  if (process.platform !== 'linux') throw new Missing(`${purpose} needs Linux`)
  if (process.getuid?.() !== 0) throw new Missing(`${purpose} needs root`)
}

/** `version`: an argument with which the program ends at once and well. */
export async function requireProgram(program: string, version: string, whence: string): Promise<void> {
  const isThere = await new Promise((resolve) => execFile(program, [version], (error) => resolve(error === null)))
  if (!isThere) throw new Missing(`${program} is not on the PATH (${whence})`)
}
