import { expect, test } from 'vitest'
import { applySettings, limitSettings } from '../../../src/postgres/session-settings.ts'

/** A session that takes every setting and tells these in the next statement. */
function sessionThatKeeps(kept: Readonly<Record<string, string>>) {
  const answers = [{ lock_timeout: '5s', statement_timeout: '5s' }, kept]
  const query = async () => ({ rows: Object.entries(answers.shift() ?? {}).map(([name, value]) => ({ name, value })) })
  return { query } as never
}

const SETTINGS = [
  ['lock_timeout', '5000'],
  ['statement_timeout', '5000'],
] as const

test('a session that keeps its settings may be used', async () => {
  const kept = { statement_timeout: '5s', lock_timeout: '5s' }
  await expect(applySettings(sessionThatKeeps(kept), SETTINGS)).resolves.toBeUndefined()
})

test.each([
  ['forgets one between two statements', { lock_timeout: '0', statement_timeout: '5s' }, 'lock_timeout is 0, not 5s'],
  ['does not know one', { lock_timeout: '5s' }, 'does not keep its settings'],
])('a session that %s is refused', async (_what, kept, reason) => {
  await expect(applySettings(sessionThatKeeps(kept), SETTINGS)).rejects.toThrow(reason)
})

test('a limit that nobody gives is five seconds, and none that is given as 0', () => {
  expect(limitSettings({ lockTimeoutMs: 0 })).toEqual([
    ['statement_timeout', '5000'],
    ['lock_timeout', '0'],
    ['idle_in_transaction_session_timeout', '5000'],
  ])
})
