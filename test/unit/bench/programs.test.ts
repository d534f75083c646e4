// Peers whose programs the operator gives: what the arguments mean, and what the report says of them.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeProgramFolder, runProgram, startProgram } from '../../../bench/lib/go-program.ts'
import { isThere, leftOut, subjectNamed, versionNotes } from '../../../bench/lib/programs.ts'
import { wantedCells } from '../../../bench/lib/send-cells.ts'
import { readSettings } from '../../../bench/lib/settings.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'messaging-test-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A file with such build information as Go puts into a program. */
function programOf(module: string): string {
  const file = join(folder, 'program')
  writeFileSync(file, `\x7fELF\0\xffpath\tmain\nmod\t${module}\th1:abc=\ndep\texample.org/other\tv9.9.9\n`, 'latin1')
  return file
}

describe('arguments', () => {
  test('name the programs of peers', () => {
    const { centrifugo, tinode } = readSettings(['send', '--tinode', '/opt/t/tinode', '--centrifugo=/opt/c'], {})
    expect({ centrifugo, tinode }).toEqual({ centrifugo: '/opt/c', tinode: '/opt/t/tinode' })
  })

  test('name none by default, and a program without a path is refused', () => {
    expect(readSettings([], {}).tinode).toBeUndefined()
    expect(() => readSettings(['--tinode'], {})).toThrow(/--tinode/)
  })

  test.each(['full', 'smoke'] as const)('have %s runs compare Tinode in pairs', (mode) => {
    const settings = readSettings(mode === 'smoke' ? ['--smoke'] : [], {})
    const [inPairs] = wantedCells(settings)
    expect(inPairs?.peersEach).toBeUndefined()
    expect(inPairs?.subjects).toContain('tinode')
  })

  test('have the sparse cell compare Tinode too', () => {
    const [sparse] = wantedCells(readSettings(['--cells', 'json-100x16-to99'], {}))
    expect(sparse?.subjects).toContain('tinode')
  })
})

describe('a peer', () => {
  const given = { centrifugo: undefined, tinode: '/opt/tinode' }

  test('is compared when its program was given, or when it needs none', () => {
    const names = ['service', 'ws-relay', 'centrifugo-memory', 'tinode']
    expect(names.filter((name) => isThere(name, given))).toEqual(['service', 'ws-relay', 'tinode'])
    expect(names.filter((name) => isThere(name, { ...given, tinode: undefined }))).toEqual(['service', 'ws-relay'])
  })

  test('is found by its name', () => {
    expect(subjectNamed('tinode', given, 100).name).toBe('tinode')
    expect(subjectNamed('ws-relay', given, 100).name).toBe('ws-relay')
  })
})

describe('the report', () => {
  test('says what was left out and how to have it', () => {
    expect(leftOut({ centrifugo: undefined, tinode: undefined })).toEqual([
      'Centrifugo is left out: its program comes by --centrifugo PATH',
      'Tinode is left out: its program comes by --tinode PATH',
    ])
    expect(leftOut({ centrifugo: '/c', tinode: '/t' })).toEqual([])
  })

  test('names the versions of what was not', () => {
    const tinode = programOf('github.com/tinode/chat\tv0.25.3')
    expect(versionNotes({ centrifugo: undefined, tinode })).toEqual([expect.stringMatching(/^Tinode v0\.25\.3; /)])
    const centrifugo = programOf('github.com/centrifugal/centrifugo/v6\tv6.9.1')
    expect(versionNotes({ centrifugo, tinode: undefined })).toEqual([expect.stringMatching(/^Centrifugo v6\.9\.1; /)])
  })

  test('owns up to a version that the program does not name, whatever those of its parts are', () => {
    const tinode = programOf('github.com/tinode/chat\t(devel)')
    expect(versionNotes({ centrifugo: undefined, tinode })).toEqual([
      expect.stringMatching(/^Tinode of unknown version; /),
    ])
  })
})

describe('a program', () => {
  const scriptOf = (text: string): string => {
    const file = join(folder, 'script')
    writeFileSync(file, `#!/bin/sh\n${text}\n`)
    chmodSync(file, 0o755)
    return file
  }

  test('gets its configuration, by whatever way its path was told', async () => {
    const runFolder = makeProgramFolder('test', { listen: 'here' })
    try {
      await runProgram(relative(process.cwd(), scriptOf('cat "$1"')), [runFolder.config], runFolder)
      expect(runFolder.recentLog()).toBe('{"listen":"here"}')
    } finally {
      runFolder.remove()
    }
  })

  test.each([
    [
      'that fails is told with what it said',
      () => scriptOf('echo no database >&2; exit 3'),
      /ended with 3\nno database/,
    ],
    ['that is not there is named', () => join(folder, 'absent'), /absent cannot be run/],
  ])('%s', async (_, program, told) => {
    const runFolder = makeProgramFolder('test', {})
    try {
      await expect(runProgram(program(), [], runFolder)).rejects.toThrow(told)
      await expect(startProgram(program(), [], runFolder, 1)).rejects.toThrow(/did not listen|cannot be run/)
    } finally {
      runFolder.remove()
    }
  })
})
