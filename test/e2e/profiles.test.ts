// AUTH=accounts: how people are called, shown and found, and who hears of it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { type AccountsBench, accountsBench, bearer, login, type Person, register } from '../support/accounts.ts'
import { pngOf } from '../support/pictures.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { rowsOf } from '../support/transactions.ts'

let bench: AccountsBench
let app: App
let ann: Person

beforeAll(async () => {
  bench = await accountsBench()
  app = await bench.start({ REGISTRATION: 'open' })
  ann = await register(app, undefined)
})
afterAll(() => bench?.close())

const as = (person: Person, method: string, path: string, body?: unknown) =>
  call(app, method, path, { headers: bearer(person.token), ...(body !== undefined && { body }) })
const change = (person: Person, body: object) => as(person, 'PATCH', '/api/users/me', body)
const found = async (query: string, by = ann) =>
  (Object((await as(by, 'GET', `/api/users?${query}`)).body).users as { user_id: string }[]).map(
    ({ user_id }) => user_id,
  )

/** Uploads these bytes as a picture. */
async function upload(person: Person, bytes: Buffer, type = 'image/png') {
  const response = await fetch(`http://127.0.0.1:${app.port}/api/users/me/avatar`, {
    method: 'PUT',
    headers: { ...bearer(person.token), 'Content-Type': type },
    body: new Uint8Array(bytes),
  })
  return { status: response.status, body: (await response.json()) as { avatar?: string; error?: { message: string } } }
}

describe('a person', () => {
  test('sees more of themselves than others do', async () => {
    const own = await as(ann, 'GET', '/api/users/me')
    expect(own.body).toMatchObject({ user_id: ann.userId, username: ann.username, role: 'member', discoverable: true })
    expect((await as(ann, 'GET', `/api/users/${ann.userId}`)).body).toEqual(own.body)
    const other = await register(app, undefined)
    const { body } = await as(other, 'GET', `/api/users/${ann.userId}`)
    expect(body).toEqual({ user_id: ann.userId, username: ann.username, display_name: ann.username })
    expect((await as(other, 'GET', '/api/users/nobody')).status).toBe(404)
  })

  test('takes another name, is found and signs in by it, and by the old one no more', async () => {
    const bob = await register(app, undefined, { display_name: 'Robert Old' })
    const name = `N.${bob.username.slice(0, 8)}`
    const { body } = await change(bob, { username: name, display_name: 'Roberta Neue' })
    expect(body).toMatchObject({ username: name, display_name: 'Roberta Neue' })
    expect(await found(`username=${name.toUpperCase()}`)).toEqual([bob.userId])
    expect(await found('search=NEU')).toEqual([bob.userId])
    for (const query of [`username=${bob.username}`, `search=${bob.username}`, 'search=robert+old', 'search=Old']) {
      expect([query, await found(query)]).toEqual([query, []])
    }
    for (const blank of ['%20%20', 'n%20', '%E3%80%80n']) {
      const { status, body: refusal } = await call(app, 'GET', `/api/users?search=${blank}`, {
        headers: bearer(bob.token),
      })
      expect([status, refusal]).toMatchObject([400, { error: { field: 'search' } }])
    }
    await login(app, name.toLowerCase())
    expect((await change(bob, { display_name: null })).body).toMatchObject({ display_name: name })
    const audit = `select details from audit_log where action = 'username_change' and target = '${bob.userId}'`
    expect(await rowsOf(bench.database.dsn, audit)).toEqual([{ details: {} }])
  })

  test('cannot take what is somebody else’s, or no name', async () => {
    const bob = await register(app, undefined)
    const refusal = async (body: object) => {
      const { status, body: answer } = await change(bob, body)
      return [status, Object(answer).error.code, Object(answer).error.field]
    }
    expect(await refusal({ username: ann.username.toUpperCase() })).toEqual([409, 'username_taken', 'username'])
    expect(await refusal({ username: 'a b' })).toEqual([400, 'invalid_request', 'username'])
    expect(await refusal({ username: ann.userId })).toEqual([400, 'invalid_request', 'username'])
    expect(await refusal({ display_name: 'x\u202ey' })).toEqual([400, 'invalid_request', 'display_name'])
    for (const nothing of ['\u200b', '\u2060\u00ad', '\u3164', ' \u115f\ufe0f', '\u2800']) {
      expect(await refusal({ display_name: nothing })).toEqual([400, 'invalid_request', 'display_name'])
    }
    expect((await change(bob, { display_name: 'क्\u200dषमा 👩‍💻' })).status).toBe(200)
    expect(await refusal({ avatar_url: 'https://example.com/x.png' })).toEqual([400, 'invalid_request', 'avatar_url'])
    expect(await refusal({ role: 'admin' })).toEqual([400, 'invalid_request', 'role'])
    expect((await as(bob, 'GET', '/api/users/me')).body).toMatchObject({ username: bob.username, role: 'member' })
  })

  test('is not found by a search that they do not want, nor while suspended, and is still shown', async () => {
    const bob = await register(app, undefined, { display_name: 'Hidden Person' })
    expect(await found('search=hidd')).toEqual([bob.userId])
    expect((await change(bob, { discoverable: false })).body).toMatchObject({ discoverable: false })
    expect(await found('search=hidd')).toEqual([])
    expect(await found(`ids=${bob.userId},nobody,${ann.userId}`)).toEqual([bob.userId, ann.userId])
    await change(bob, { discoverable: true })
    const key = bearer(await bench.key('admin'))
    await call(app, 'POST', `/api/admin/users/${bob.userId}/suspend`, { headers: key, body: {} })
    expect(await found('search=hidd')).toEqual([])
    expect(await found(`ids=${bob.userId}`)).toEqual([bob.userId])
    await call(app, 'DELETE', `/api/admin/users/${bob.userId}`, { headers: key })
    expect(await found(`ids=${bob.userId}`)).toEqual([])
  })

  test('is told anew to those who watch them', async () => {
    const bob = await register(app, undefined)
    const socket = await SocketClient.connect(app, '', { headers: bearer(ann.token) })
    await socket.ask({ type: 'ping' })
    socket.send({ type: 'watch', user_ids: [bob.userId] })
    await socket.next('presence')
    await change(bob, { display_name: 'Bob' })
    expect(await socket.next('user_changed')).toEqual({
      type: 'user_changed',
      user_id: bob.userId,
      display_name: 'Bob',
    })
    const { body } = await upload(bob, pngOf(8, 8))
    expect(await socket.next('user_changed')).toMatchObject({ user_id: bob.userId, avatar: body.avatar })
    await as(bob, 'DELETE', '/api/users/me/avatar')
    expect(await socket.next('user_changed')).not.toHaveProperty('avatar')
    const key = bearer(await bench.key('admin'))
    await call(app, 'DELETE', `/api/admin/users/${bob.userId}`, { headers: key })
    const gone = { type: 'user_changed', user_id: bob.userId, display_name: bob.userId }
    expect(await socket.next('user_changed')).toEqual(gone)
    socket.cut()
  })
})

describe('a picture', () => {
  test('has an address that never shows another, which anybody may look at and nothing runs from', async () => {
    const first = pngOf(16, 16)
    const { status, body } = await upload(ann, first)
    expect(status).toBe(200)
    const shown = await fetch(`http://127.0.0.1:${app.port}${body.avatar}`)
    expect(Buffer.from(await shown.arrayBuffer())).toEqual(first)
    expect(shown.headers.get('content-type')).toBe('image/png')
    expect(shown.headers.get('x-content-type-options')).toBe('nosniff')
    expect(shown.headers.get('content-security-policy')).toContain('sandbox')
    expect(shown.headers.get('cache-control')).toContain('immutable')
    const second = await upload(ann, pngOf(17, 17))
    expect(second.body.avatar).not.toBe(body.avatar)
    expect((await call(app, 'GET', String(body.avatar))).status).toBe(404)
    expect((await call(app, 'GET', '/api/avatars/x')).status).toBe(404)
    expect((await as(ann, 'GET', '/api/users/me')).body).toMatchObject({ avatar: second.body.avatar })
    expect((await as(ann, 'DELETE', '/api/users/me/avatar')).body).not.toHaveProperty('avatar')
    expect((await call(app, 'GET', String(second.body.avatar))).status).toBe(404)
  })

  test('is gone from its address when a backend takes it away', async () => {
    const { body } = await upload(ann, pngOf(16, 16))
    const headers = bearer(await bench.key('users:write'))
    const taken = await call(app, 'PUT', `/api/users/${ann.userId}`, { headers, body: { avatar_url: null } })
    expect(taken.status).toBe(200)
    expect((await call(app, 'GET', String(body.avatar))).status).toBe(404)
    expect(await rowsOf(bench.database.dsn, `select from avatars where user_id = '${ann.userId}'`)).toEqual([])
  })

  test('is what its bytes say, and no larger than 256 KiB', async () => {
    const png = pngOf(16, 16)
    const larger = (bytes: number): Buffer => Buffer.concat([png, Buffer.alloc(bytes - png.length)])
    expect((await upload(ann, larger(256 * 1024))).status).toBe(200)
    expect((await upload(ann, larger(256 * 1024 + 1))).status).toBe(413)
    expect((await upload(ann, png, 'image/jpeg')).status).toBe(415)
    expect((await upload(ann, png, 'text/html')).status).toBe(415)
    expect((await upload(ann, Buffer.from('<svg onload="alert(1)"/>'), 'image/png')).status).toBe(400)
    expect((await upload(ann, pngOf(5_000, 1))).body.error?.message).toContain('pixels')
  })

  test('leaves every other body at 64 KiB', async () => {
    const big = { display_name: 'x'.repeat(70_000) }
    expect((await change(ann, big)).status).toBe(413)
  })
})
