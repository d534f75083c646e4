// What a real server does too quickly to be met in the act: here a program stands in for one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ownershipArguments, takeOver } from '../../../src/embedded-postgres/lock-file.ts'
import { processToken } from '../../../src/embedded-postgres/process-state.ts'
import { makeRuntimeDir } from '../../../src/embedded-postgres/runtime-dir.ts'
import { canLock, holdLock } from '../../support/held-lock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

test('clears away the directory of a server that gave up its lock file and has not ended yet', async () => {
  const clusterDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  const runtimeDir = await makeRuntimeDir(undefined)
  const lock = join(clusterDir, 'postmaster.pid')
  const script = `trap 'rm "${lock}"; read -r _; exit' INT; echo ready; while :; do read -r -t 0.02 _; done`
  const deadOwner = '1-0'
  const server = spawn('bash', ['-c', script, '-k', runtimeDir, ...ownershipArguments(clusterDir, deadOwner)], {
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

test.each([
  ['goes on with other letters', (directory: string) => `${directory}-2`],
  ['goes on behind a blank', (directory: string) => `${directory} 2/postgres`],
  ['ends with the same letters', (directory: string) => `/elsewhere${directory}`],
])('leaves the server of a dead service alone whose directory %s', async (_what, other) => {
  const clusterDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  onTestFinished(() => rm(clusterDir, { recursive: true, force: true }))
  const server = spawn('bash', ['-c', 'echo ready; read -r _', ...ownershipArguments(other(clusterDir), '1-0')], {
    argv0: 'postgres',
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  await writeFile(join(clusterDir, 'postmaster.pid'), [server.pid, clusterDir, 0, 5432, '/nowhere', ''].join('\n'))
  await takeOver(clusterDir, silentLogger)
  // A signal would have ended it before this line came through.
  server.stdin.write('\n')
  expect(await once(server, 'exit')).toEqual([0, null])
})

/** A directory that a server holds whose number means nothing here; `warned` resolves when somebody waits for it. */
async function hidden() {
  const clusterDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  onTestFinished(() => rm(clusterDir, { recursive: true, force: true }))
  const lines = ['999999999', clusterDir, 0, 5432, '/nowhere', ''].join('\n')
  await writeFile(join(clusterDir, 'postmaster.pid'), lines)
  const letGo = await holdLock(clusterDir)
  let warn: () => void = () => undefined
  const warned = new Promise<void>((resolve) => {
    warn = resolve
  })
  const lock = () => readFile(join(clusterDir, 'postmaster.pid'), 'utf8')
  return { clusterDir, lines, lock, letGo, logger: { ...silentLogger, warn: () => warn() }, warned }
}

test.runIf(canLock)('waits for a server of another container, and leaves its lock file alone', async () => {
  const { clusterDir, lines, lock, letGo, logger, warned } = await hidden()
  const free = takeOver(clusterDir, logger)
  await warned
  expect(await lock()).toBe(lines)
  letGo()
  await free
})

test.runIf(canLock)('refuses a directory whose server of another container does not end', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const { clusterDir, lines, lock, logger, warned } = await hidden()
  const refused = expect(takeOver(clusterDir, logger)).rejects.toThrow('as in another container')
  await warned
  vi.advanceTimersByTime(60_000)
  await refused
  expect(await lock()).toBe(lines)
})
