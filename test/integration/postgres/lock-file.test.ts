// What a real server does too quickly to be met in the act: here a program stands in for one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ownershipArguments, takeOver } from '../../../src/postgres/embedded/lock-file.ts'
import { processToken } from '../../../src/postgres/embedded/process-state.ts'
import { makeRuntimeDir } from '../../../src/postgres/embedded/runtime-dir.ts'
import { silentLogger } from '../../support/databases.ts'

test('clears away the directory of a server that gave up its lock file and has not ended yet', async () => {
  const clusterDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  const runtimeDir = await makeRuntimeDir(undefined)
  const lock = join(clusterDir, 'postmaster.pid')
  const script = `trap 'rm "${lock}"; read -r _; exit' INT; echo ready; while :; do read -r -t 0.02 _; done`
  const deadOwner = '1-0'
  const server = spawn('bash', ['-c', script, ...ownershipArguments(clusterDir, deadOwner), '-k', runtimeDir], {
    argv0: 'postgres',
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    await once(server.stdout, 'data')
    await writeFile(lock, [server.pid, clusterDir, 0, 5432, runtimeDir, ''].join('\n'))
    await takeOver(clusterDir, silentLogger)
    expect(server.exitCode).toBeNull()
    await expect(access(runtimeDir)).rejects.toThrow('ENOENT')
  } finally {
    server.kill('SIGKILL')
    await rm(clusterDir, { recursive: true, force: true })
    await rm(runtimeDir, { recursive: true, force: true })
  }
})

test.each([
  ['of another service', async (directory: string) => ownershipArguments(directory, await processToken(process.pid))],
  ['started by hand', async (directory: string) => ['-D', directory]],
])(
  'refuses a directory with a live server %s, also when the path of its program holds a blank',
  async (_, arguments_) => {
    const clusterDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
    onTestFinished(() => rm(clusterDir, { recursive: true, force: true }))
    const lock = join(clusterDir, 'postmaster.pid')
    const server = spawn('bash', ['-c', 'echo ready; read -r _', ...(await arguments_(clusterDir))], {
      argv0: '/home/my project/bin/postgres',
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    onTestFinished(() => void server.kill('SIGKILL'))
    await once(server.stdout, 'data')
    const lines = [server.pid, clusterDir, 0, 5432, '/nowhere', ''].join('\n')
    await writeFile(lock, lines)
    await expect(takeOver(clusterDir, silentLogger)).rejects.toThrow('is in use by another running service')
    expect(await readFile(lock, 'utf8')).toBe(lines)
  },
)
