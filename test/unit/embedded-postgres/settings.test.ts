import os from 'node:os'
import { expect, onTestFinished, test, vi } from 'vitest'
import { defaultSettings, sharedBuffers } from '../../../src/embedded-postgres/settings.ts'

const GIB = 2 ** 30

test('shared buffers are a quarter of the memory, from 128 MiB to 4 GiB', () => {
  const sizes = [0.25 * GIB, GIB, 8 * GIB, 64 * GIB].map(sharedBuffers)
  expect(sizes).toEqual(['128MB', '256MB', '2048MB', '4096MB'])
})

test('there are connections to spare, a hundred at least', () => {
  const connections = [9, 80, 400].map((count) => defaultSettings(count)['max_connections'])
  expect(connections).toEqual(['100', '100', '420'])
})

test.each([
  ['a container', 2 * GIB, 64 * GIB, '512MB'],
  ['a machine whose process has no limit', 0, 8 * GIB, '2048MB'],
  ['a machine whose process has one beyond all memory', 2 ** 64, 8 * GIB, '2048MB'],
])('the memory is that of %s', (_what, limit, machine, buffers) => {
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(limit)
  vi.spyOn(os, 'totalmem').mockReturnValue(machine)
  onTestFinished(() => void vi.restoreAllMocks())
  expect(defaultSettings(9)['shared_buffers']).toBe(buffers)
})

test('what makes a commit durable is on', () => {
  expect(defaultSettings(9)).toMatchObject({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' })
})
