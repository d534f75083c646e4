import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeRuntimeDir } from '../../../src/embedded-postgres/runtime-dir.ts'

test('lies where TMPDIR says, so that a service with a private /tmp can keep its socket outside', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  const before = process.env['TMPDIR']
  onTestFinished(async () => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
    await rm(parent, { recursive: true, force: true })
  })
  process.env['TMPDIR'] = parent
  expect(dirname(await makeRuntimeDir(undefined))).toBe(parent)
})
