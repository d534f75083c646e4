import { execFileSync } from 'node:child_process'
import { constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '../../src/lib/errors.ts'

/** A pipe that takes not one byte more and that nobody reads: a file descriptor, for the standard output of a process. */
export function fullPipe(): number {
  const directory = mkdtempSync(join(tmpdir(), 'messaging-pipe-'))
  const path = join(directory, 'full')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  // An open pipe needs no name.
  rmSync(directory, { recursive: true })
  for (const size of [4096, 1]) fill(fd, ' '.repeat(size))
  return fd
}

function fill(fd: number, text: string): void {
  try {
    for (;;) writeSync(fd, text)
  } catch (error) {
    if (errorCode(error) !== 'EAGAIN') throw error
  }
}
