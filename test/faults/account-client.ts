// Somebody who registers and signs in, as a program or a page, from a network of their own.
import { randomUUID } from 'node:crypto'
import { SocketClient } from '../support/socket-client.ts'
import type { Instance } from './instance.ts'

export const PASSWORD = 'correct horse battery'

export interface Person {
  readonly userId: string
  readonly username: string
  readonly token: string
  readonly refreshToken: string
  readonly deviceToken: string
}

export interface AccountAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly cookie: string
}

interface PostOptions {
  readonly network?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export class AccountClient {
  readonly #instance: Pick<Instance, 'directPort'>

  constructor(instance: Pick<Instance, 'directPort'>) {
    this.#instance = instance
  }

  async post(
    path: string,
    body: object,
    { network = someNetwork(), headers, signal }: PostOptions = {},
  ): Promise<AccountAnswer> {
    const response = await fetch(`http://127.0.0.1:${this.#instance.directPort}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': network, ...headers },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    })
    const text = await response.text()
    const cookie = response.headers.getSetCookie().map((line) => line.split(';')[0])
    return { status: response.status, body: text === '' ? {} : JSON.parse(text), cookie: cookie.join('; ') }
  }

  async register(): Promise<Person> {
    const username = `p${randomUUID().slice(0, 12)}`
    for (;;) {
      const answer = await this.post('/api/auth/register', { username, password: PASSWORD, client: 'token' })
      if (answer.status === 201) return personIn(answer)
      if (answer.status !== 503) throw new Error(`not registered: ${answer.status} ${JSON.stringify(answer.body)}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  login(
    username: string,
    { password = PASSWORD, deviceToken, network }: { password?: string; deviceToken?: string; network?: string } = {},
  ): Promise<AccountAnswer> {
    const device = deviceToken === undefined ? {} : { device_token: deviceToken }
    return this.post('/api/auth/login', { username, password, client: 'token', ...device }, { network })
  }

  page(username: string): Promise<AccountAnswer> {
    return this.post('/api/auth/login', { username, password: PASSWORD }, { headers: OWN_PAGE })
  }

  tokenOf(cookie: string): Promise<AccountAnswer> {
    return this.post('/api/auth/token', {}, { headers: { ...OWN_PAGE, Cookie: cookie } })
  }

  refresh(refreshToken: string): Promise<AccountAnswer> {
    return this.post('/api/auth/refresh', { refresh_token: refreshToken, attempt: randomUUID() })
  }
}

const OWN_PAGE = { 'Sec-Fetch-Site': 'same-origin' }

function someNetwork(): string {
  const [a = 0, b = 0, c = 0] =
    randomUUID()
      .match(/[0-9a-f]{2}/g)
      ?.map((byte) => Number.parseInt(byte, 16)) ?? []
  return `198.${a}.${b}.${c}`
}

/** Throws unless somebody was signed in as a program. */
export function personIn({ body }: AccountAnswer): Person {
  const { user_id, username } = body['user'] as { user_id: string; username: string }
  const text = (name: string): string => String(body[name])
  return {
    userId: user_id,
    username,
    token: text('token'),
    refreshToken: text('refresh_token'),
    deviceToken: text('device_token'),
  }
}

/** A socket of this person, ready to send. */
export async function signIn(instance: Instance, { token }: Person): Promise<SocketClient> {
  const socket = SocketClient.dial({ port: instance.directPort }, '')
  await socket.opened()
  socket.send({ type: 'auth', token })
  await socket.next('welcome')
  return socket
}
