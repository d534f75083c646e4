// The SDK's accounts on the real service: as a page with its cookie, and as a program that keeps its session.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import type { App } from '../../src/app.ts'
import { type Accounts, createAccounts, type KeptSession } from '../../src/client/accounts.ts'
import { type Client, type ClientOptions, createClient } from '../../src/client/index.ts'
import { type AccountsBench, accountsBench, OWN_PAGE, PASSWORD } from '../support/accounts.ts'
import { within } from '../support/deadline.ts'

let bench: AccountsBench
let app: App
let url: string

beforeAll(async () => {
  bench = await accountsBench()
  app = await bench.start({ REGISTRATION: 'open' })
  url = `ws://127.0.0.1:${app.port}/ws`
})
afterAll(() => bench?.close())

/** A browser's fetch: it keeps cookies, and says that its page is of the service itself. */
function pageFetch(): typeof fetch {
  const cookies = new Map<string, string>()
  return async (address, init) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(address, { ...init, headers: { ...(init?.headers as object), ...OWN_PAGE, cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '' || /max-age=0/i.test(line)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return answer
  }
}

function connect(options: Pick<ClientOptions, 'auth' | 'fetch'>): Client {
  const client = createClient({ url, WebSocket, ...options })
  onTestFinished(() => client.close())
  return client
}

const untilState = (client: Client, state: string): Promise<void> =>
  within(
    new Promise((resolve) => {
      const look = (): void => {
        if (client.status.get().state === state) resolve()
      }
      client.status.subscribe(look)
      look()
    }),
    () => `${state}, not ${JSON.stringify(client.status.get())}`,
  )

const someName = (): string => `p${randomUUID().slice(0, 12)}`

test('a page registers, connects by its cookie, and is signed out for good', async () => {
  const fetchOfPage = pageFetch() as never
  const accounts: Accounts = createAccounts({ url, fetch: fetchOfPage })
  expect(await accounts.server()).toMatchObject({ auth: 'accounts', registration: 'open', push: false })
  expect(await accounts.me()).toBeUndefined()
  const username = someName()
  await expect(accounts.register({ username, password: 'short' })).rejects.toMatchObject({ code: 'weak_password' })
  const user = await accounts.register({ username, password: PASSWORD, display_name: 'Amy', device_name: 'laptop' })
  expect(user).toMatchObject({ username, display_name: 'Amy' })
  await expect(accounts.register({ username, password: PASSWORD })).rejects.toMatchObject({ code: 'username_taken' })
  expect(await accounts.me()).toMatchObject({ user_id: user.user_id, display_name: 'Amy' })
  expect(await accounts.sessions()).toMatchObject([{ device_name: 'laptop', current: true }])
  await expect(accounts.push.key()).rejects.toMatchObject({ code: 'not_found' })

  const client = connect({ auth: { session: true }, fetch: fetchOfPage })
  await untilState(client, 'live')
  expect(client.userId).toBe(user.user_id)

  const wrong = accounts.changePassword({ current: 'wrong horse battery', new: 'another horse battery' })
  await expect(wrong).rejects.toMatchObject({ code: 'invalid_credentials' })
  const [recovery_code = ''] = await accounts.newRecoveryCodes()
  await accounts.recover({ username, recovery_code, new: 'another horse battery' })
  await untilState(client, 'stopped')
  expect(await accounts.me()).toBeUndefined()
  const old = accounts.login({ username, password: PASSWORD })
  await expect(old).rejects.toMatchObject({ code: 'invalid_credentials' })
  expect(await accounts.login({ username, password: 'another horse battery' })).toMatchObject({ username })
  await accounts.logout()
  expect(await accounts.me()).toBeUndefined()
  await accounts.logout()
})

test('a program keeps its session, over its own restarts, until it is signed out', async () => {
  let kept: KeptSession | undefined
  const keeper = {
    get: () => kept,
    set: (session: KeptSession) => {
      kept = session
    },
  }
  const username = someName()
  const user = await createAccounts({ url, keeper }).register({ username, password: PASSWORD })
  const first = kept
  const again = createAccounts({ url, keeper })
  const client = connect({ auth: { getToken: again.getToken } })
  await untilState(client, 'live')
  expect(client.userId).toBe(user.user_id)
  expect(kept?.refresh_token).not.toBe(first?.refresh_token)
  expect(await again.me()).toMatchObject({ user_id: user.user_id })
  await again.logoutAll()
  await untilState(client, 'stopped')
  expect(kept).toEqual({ device_token: first?.device_token })
  expect(await again.me()).toBeUndefined()
  expect(await again.login({ username, password: PASSWORD })).toMatchObject({ username })
})
