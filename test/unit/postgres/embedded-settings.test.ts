import { expect, test } from 'vitest'
import { defaultSettings, sharedBuffers } from '../../../src/postgres/embedded/settings.ts'

const GIB = 2 ** 30

test('shared buffers are a quarter of the memory, from 128 MiB to 4 GiB', () => {
  const sizes = [0.25 * GIB, GIB, 8 * GIB, 64 * GIB].map(sharedBuffers)
  expect(sizes).toEqual(['128MB', '256MB', '2048MB', '4096MB'])
})

test('there are connections to spare, a hundred at least', () => {
  const connections = [9, 80, 400].map((count) => defaultSettings(count)['max_connections'])
  expect(connections).toEqual(['100', '100', '420'])
})

test('what makes a commit durable is on, and the buffers are a number', () => {
  const { shared_buffers, ...settings } = defaultSettings(9)
  expect(shared_buffers).toMatch(/^\d+MB$/)
  expect(settings).toMatchObject({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' })
})
