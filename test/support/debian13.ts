// Programs of Debian 13 on an older machine: a folder with its files, whose own loader and libraries run them.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installedProgram } from './installed-program.ts'

const run = promisify(execFile)
/** Kept from run to run: it takes a minute to make, and 300 MB. */
const FOLDER = fileURLToPath(new URL('../../node_modules/.cache/messaging-debian13', import.meta.url))
const MIRROR = 'http://deb.debian.org/debian'
const PACKAGES = ['libstdc++6', 'valkey-server']

let made: Promise<string> | undefined

/** What to write before the path of a program, for which this machine's libraries are too old, and its arguments. */
export async function loaderOfDebian13(): Promise<readonly [loader: string, ...options: string[]]> {
  made ??= makeFolder()
  const folder = await made
  const libraries = ['lib', 'usr/lib'].map((place) => join(folder, place, 'x86_64-linux-gnu')).join(':')
  return [join(folder, 'lib64', 'ld-linux-x86-64.so.2'), '--library-path', libraries]
}

/** Path of a Valkey server. */
export async function valkeyOfDebian13(): Promise<string> {
  const words = [...(await loaderOfDebian13()), join(FOLDER, 'usr/bin/valkey-server')]
  const script = `${FOLDER}-valkey-server`
  await writeFile(script, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`)
  await chmod(script, 0o755)
  return script
}

async function makeFolder(): Promise<string> {
  if (process.arch !== 'x64' || process.platform !== 'linux')
    throw new Error('the folder is made for Linux on x64 alone')
  if (existsSync(FOLDER)) return FOLDER
  const debootstrap = await installedProgram({ programs: ['debootstrap'], package: 'debootstrap' })
  const unfinished = `${FOLDER}-unfinished`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(dirname(FOLDER), { recursive: true })
  await run(debootstrap, ['--variant=minbase', `--include=${PACKAGES}`, 'trixie', unfinished, MIRROR])
  await rename(unfinished, FOLDER)
  return FOLDER
}
