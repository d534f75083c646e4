import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { onTestFinished } from 'vitest'
import { lockingCommand, lockState } from '../../src/embedded-postgres/directory-lock.ts'

/** macOS has no flock, and no containers either. */
export const canLock = (await lockState(tmpdir())) !== 'unknown'

/** Locks this directory as a server does that cannot be seen from here; the returned function lets go of it. */
export async function holdLock(directory: string): Promise<() => void> {
  const [flock, ...before] = lockingCommand('sh')
  const holder = spawn(flock, [...before, '-c', 'echo ready; read -r _'], {
    cwd: directory,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  return () => void holder.stdin.end()
}
