// The command `messaging` about accounts, beside a service with AUTH=accounts.
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import {
  type AccountsBench,
  accountsBench,
  ask,
  bearer,
  login,
  PASSWORD,
  register,
  secretIn,
} from '../support/accounts.ts'
import { programFile } from '../support/compiled.ts'
import { execute } from '../support/databases.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { rowsOf } from '../support/transactions.ts'

let bench: AccountsBench
let app: App

beforeAll(async () => {
  bench = await accountsBench()
  app = await bench.start()
})
afterAll(() => bench?.close())

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function messaging(words: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const env = { POSTGRES_DSN: bench.database.dsn, AUTH: 'accounts', PUBLIC_URL: 'https://chat.example.com', ...more }
  const file = programFile('cli.js')
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}

async function json<T>(...words: string[]): Promise<T> {
  const { code, stdout, stderr } = await messaging([...words, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

test('makes the first administrator, accounts with links, and invites', async () => {
  const { url } = await json<{ url: string }>('admin', 'bootstrap')
  expect(url).toMatch(/^https:\/\/chat\.example\.com\/#bootstrap=/)
  await register(app, secretIn(url, 'bootstrap'), { username: 'Root' })
  expect(await messaging(['admin', 'bootstrap'])).toMatchObject({ code: 1 })
  const made = await json<{ user_id: string; url: string }>('users', 'create', 'Zoe', '--display-name', 'Zoe Ray')
  const link_token = secretIn(made.url, 'reset')
  expect((await ask(app, '/api/auth/reset', { link_token, new: PASSWORD })).status).toBe(204)
  expect((await login(app, 'zoe')).userId).toBe(made.user_id)
  const invite = await json<{ code_id: string; code: string }>('invites', 'create', '--uses', '2')
  await register(app, invite.code)
  expect(await json('invites', 'list')).toMatchObject([{ code_id: invite.code_id, uses: 2, uses_left: 1 }])
  await json('invites', 'revoke', invite.code_id)
  expect(await json('invites', 'list')).toEqual([])
})

test('suspends, promotes, resets and deletes by a name or an id, and the service follows within its next look', async () => {
  await json('users', 'create', 'Max')
  const reset = await json<{ url: string }>('users', 'reset-link', 'max')
  await ask(app, '/api/auth/reset', { link_token: secretIn(reset.url, 'reset'), new: PASSWORD })
  const max = await login(app, 'max')
  const socket = await SocketClient.connect(app, '', { headers: bearer(max.token) })
  expect(await json('users', 'suspend', 'MAX')).toMatchObject({ user_id: max.userId, state: 'suspended' })
  expect(await socket.closed).toEqual({ code: 4403, reason: 'account_suspended' })
  // Somebody took the id for a name, as was once possible.
  await execute(bench.database.dsn, `update accounts set username_key = '${max.userId}' where username_key = 'zoe'`)
  expect(await json('users', 'unsuspend', max.userId)).toMatchObject({ user_id: max.userId, state: 'active' })
  expect(await json('users', 'role', 'max', 'admin')).toMatchObject({ role: 'admin' })
  expect(await json('users', 'list', '--search', 'max')).toMatchObject([{ username: 'Max', role: 'admin' }])
  expect((await messaging(['users', 'delete', 'max'])).stderr).toContain('--yes')
  await json('users', 'set', max.userId, '--display-name', 'Max')
  await json('users', 'delete', 'max', '--yes')
  expect((await messaging(['users', 'suspend', 'max'])).stderr).toBe('messaging: There is no account "max".\n')
  const audit = `select action from audit_log where actor_kind = 'command_line' and target = '${max.userId}' order by audit_id`
  const actions = (await rowsOf(bench.database.dsn, audit)).map(({ action }) => action)
  expect(actions).toEqual(['create', 'reset_link', 'suspend', 'unsuspend', 'role', 'describe', 'delete'])
})

test('issues tokens, and revokes: the logins end, and no refresh token brings another token', async () => {
  const { code: invite } = await json<{ code: string }>('invites', 'create')
  const { userId, username, refreshToken, token } = await register(app, invite)
  const other = await login(app, username)
  const issued = await json<{ token: string }>('token', 'issue', userId, '--expires-in', '60')
  const { status, body } = await call(app, 'GET', '/api/users/me', { headers: bearer(issued.token) })
  expect([status, body]).toMatchObject([200, { user_id: userId }])
  const noted = `select actor_kind, details from audit_log where action = 'token_issue' and target = '${userId}'`
  expect(await rowsOf(bench.database.dsn, noted)).toEqual([{ actor_kind: 'command_line', details: { seconds: 60 } }])
  const comesBack = async (refresh_token: string) =>
    (await ask(app, '/api/auth/refresh', { refresh_token, attempt: randomUUID() })).status
  const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  await json('revoke', '--session', sid)
  expect([await comesBack(refreshToken), await comesBack(other.refreshToken)]).toEqual([401, 200])
  await json('revoke', '--user', userId)
  expect(await comesBack((await login(app, username)).refreshToken)).toBe(200)
  expect(await comesBack(other.refreshToken)).toBe(401)
})

test('notes a key that it makes, and an epoch that it renews', async () => {
  const { key_id } = await json<{ key_id: string }>('keys', 'create', '--name', 'x', '--scopes', 'send:any,read:any')
  await json('epoch', 'renew', '--because', 'a test')
  const rows = await rowsOf(
    bench.database.dsn,
    `select action, target, details from audit_log where action in ('key_create', 'epoch_renew') order by audit_id`,
  )
  expect(rows).toEqual([
    { action: 'key_create', target: key_id, details: { scopes: 'send:any,read:any' } },
    { action: 'epoch_renew', target: '', details: { because: 'a test' } },
  ])
})

test('verifies the audit, and fails where it was changed', async () => {
  const whole = await json<{ entries: number; end: string }>('audit', 'verify')
  expect(whole).toMatchObject({ end: expect.stringMatching(/^[0-9a-f]{64}$/), fault: null })
  await execute(bench.database.dsn, `update audit_log set actor = 'nobody' where audit_id = 2`)
  const { code, stdout } = await messaging(['audit', 'verify'])
  expect([code, stdout]).toEqual([1, 'The entry 2 was changed. The 1 before it are as they were written.\n'])
})

test('needs AUTH=accounts', async () => {
  const { code, stderr } = await messaging(['users', 'list'], { AUTH: 'none' })
  expect([code, stderr]).toEqual([1, 'messaging: There are no accounts here: this needs AUTH=accounts.\n'])
})
