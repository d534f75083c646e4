import { expect, test } from 'vitest'
import { lineOf, versions } from '../../deploy/report.ts'

test('the report of the plays names every program, with its version or that it is missing', () => {
  const told = versions()
  const names = [
    'Node',
    'PostgreSQL',
    'nginx',
    'HAProxy',
    'Caddy',
    'Redis',
    'Valkey',
    'PgBouncer',
    'promtool',
    'systemd',
  ]
  expect(told.map((one) => one.split(' ')[0])).toEqual(names)
  for (const one of told) expect(one).toMatch(/ (v?\d+(\.\d+)*|missing)/)
  expect(told).toContain(`Node ${process.version}`)
})

test('a play that was skipped has failed, unless it says why', () => {
  const skipped = { state: 'skipped', errors: undefined } as const
  expect(lineOf('a', { ...skipped, note: undefined })).toBe('FAILED  not played: a')
  expect(lineOf('a', { ...skipped, note: 'no relay' })).toBe('skipped  a: no relay')
})
