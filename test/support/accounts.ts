// One service with AUTH=accounts, and people who sign in to it.
import { randomUUID } from 'node:crypto'
import type { App } from '../../src/app.ts'
import { newServiceKey, type Scope } from '../../src/auth/service-key.ts'
import { startOn } from './app.ts'
import { createDatabase, execute, type TestDatabase } from './databases.ts'
import { bearer } from './identity.ts'
import { type Answer, call } from './rest-client.ts'
import type { Target } from './service.ts'

export const ACCOUNTS_ENV = { AUTH: 'accounts', ADDRESS_REFUSALS_PER_SECOND: '0', TRUSTED_PROXIES: '127.0.0.1' }
export const PASSWORD = 'correct horse battery'
/** What a browser says of a request that a page of the service itself sends. */
export const OWN_PAGE = { 'Sec-Fetch-Site': 'same-origin' }

export interface AccountsBench {
  readonly database: TestDatabase
  /** Starts one more instance on the same database. */
  start(env?: Readonly<Record<string, string>>): Promise<App>
  /** A new service key with this scope. */
  key(scope: Scope): Promise<string>
  /** Stops one of them now, and not again at the end. */
  stop(app: App): Promise<void>
  /** What the starts have told past the log. */
  told(): string
  close(): Promise<void>
}

export async function accountsBench(): Promise<AccountsBench> {
  const database = await createDatabase()
  const apps: App[] = []
  let told = ''
  const tell = (text: string): void => {
    told += text
  }
  return {
    database,
    async start(env = {}) {
      const app = await startOn(database.dsn, { ...ACCOUNTS_ENV, ...env }, { tell })
      apps.push(app)
      return app
    },
    async key(scope) {
      const { key, stored } = newServiceKey('test', [scope])
      const hash = stored.secretHash.toString('hex')
      await execute(
        database.dsn,
        `insert into service_keys (key_id, secret_hash, name, scopes) values ('${stored.keyId}', '\\x${hash}', 'test', '{${scope}}')`,
      )
      return key
    },
    async stop(app) {
      apps.splice(apps.indexOf(app), 1)
      await app.stop()
    },
    told: () => told,
    async close() {
      await Promise.all(apps.map((app) => app.stop()))
      await database.drop()
    },
  }
}

/** The secret of the last link of this kind in a text. */
export function secretIn(text: string, kind: 'bootstrap' | 'invite' | 'reset'): string {
  const all = [...text.matchAll(new RegExp(`#${kind}=([\\w-]+)`, 'g'))]
  const secret = all.at(-1)?.[1]
  if (secret === undefined) throw new Error(`there is no ${kind} link in ${JSON.stringify(text)}`)
  return secret
}

/** Each from a network of its own, as behind a proxy that is listed, so that no test uses up the attempts of another. */
export function someNetwork(): { 'X-Forwarded-For': string } {
  const [a = 0, b = 0, c = 0] =
    randomUUID()
      .match(/[0-9a-f]{2}/g)
      ?.map((byte) => Number.parseInt(byte, 16)) ?? []
  return { 'X-Forwarded-For': `198.${a}.${b}.${c}` }
}

export interface Person {
  readonly userId: string
  readonly username: string
  readonly token: string
  readonly refreshToken: string
  readonly deviceToken: string
}

/** A call as a program makes it, from a network of its own unless a header says otherwise. */
export function ask(
  target: Target,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return call(target, 'POST', path, { body, headers: { ...someNetwork(), ...headers } })
}

/** Registers somebody with this invite, and signs them in as a program. */
export async function register(target: Target, invite: string | undefined, more: object = {}): Promise<Person> {
  const username = `p${randomUUID().slice(0, 12)}`
  const body = { username, password: PASSWORD, client: 'token', ...(invite !== undefined && { invite }), ...more }
  return personIn(await ask(target, '/api/auth/register', body), 201)
}

export async function login(target: Target, username: string, more: object = {}): Promise<Person> {
  return personIn(await ask(target, '/api/auth/login', { username, password: PASSWORD, client: 'token', ...more }), 200)
}

interface SignedInBody {
  readonly user: { readonly user_id: string; readonly username: string }
  readonly token: string
  readonly refresh_token: string
  readonly device_token: string
}

function personIn({ status, text, body }: Answer, wanted: number): Person {
  if (status !== wanted) throw new Error(`not signed in: ${status} ${text}`)
  const { user, ...secrets } = body as unknown as SignedInBody
  return {
    userId: user.user_id,
    username: user.username,
    token: secrets.token,
    refreshToken: secrets.refresh_token,
    deviceToken: secrets.device_token,
  }
}

/** The cookies that an answer sets, as a browser sends them back. */
export function cookiesOf({ headers }: Answer): string {
  return headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ')
}

export { bearer }
