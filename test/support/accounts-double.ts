// Stands in for a server with accounts: the page's calls are answered here, the rest is a service that takes tokens.
import type { BrowserContext, Route } from 'playwright-core'
import { hmacSigner, tokenOf } from './tokens.ts'

interface Person {
  readonly user_id: string
  username: string
  display_name: string
  role: string
  state: string
}

const LATER = '2026-12-07T09:00:00.000Z'
const CODES = Array.from({ length: 10 }, (_, index) => `k7m${index}-q2xd-9vz${index}-p4hn`)

/** One server with a few people; the first is who signs in. Passwords are 'correct horse'. */
export class AccountsDouble {
  readonly people: Person[] = [
    ['u-ann', 'ann', 'Ann Example', 'admin', 'active'],
    ['u-bob', 'bob', 'Bob Example', 'member', 'active'],
    ['u-carol', 'carol.e', 'Carol Example-Sommerfeld von Hohenberg', 'member', 'suspended'],
    ['u-dan', 'dan', 'مثال أول', 'admin', 'active'],
  ].map(([user_id = '', username = '', display_name = '', role = '', state = '']) => ({
    ...{ user_id, username, display_name, role, state },
  }))
  invites = [{ code_id: 'c1', uses: 4, expires_at: LATER }]
  registration = 'open'
  isSignedIn = false
  /** Longer ago than what needs a login of a moment ago takes. */
  isLoginOld = false
  /** Every call that was answered, as `POST /api/auth/login {"username":…}`. */
  readonly calls: string[] = []

  async attach(context: BrowserContext): Promise<void> {
    await context.route(
      (url) => /^\/api\/(server|auth|users|admin|invites|push)/.test(url.pathname),
      (route) => this.#answer(route),
    )
  }

  async #answer(route: Route): Promise<void> {
    const request = route.request()
    const { pathname, searchParams } = new URL(request.url())
    const call = `${request.method()} ${pathname}`
    this.calls.push(`${call} ${request.postData() ?? ''}`)
    const body = (request.postDataJSON() ?? {}) as Record<string, string>
    const [status, answer] = this.#respond(call, body, searchParams)
    await route.fulfill({ status, json: answer, headers: { 'retry-after': '30' } })
  }

  #respond(call: string, body: Record<string, string>, query: URLSearchParams): [status: number, answer: unknown] {
    const [me] = this.people as [Person]
    const error = (status: number, code: string, field?: string): [number, unknown] => [
      status,
      { error: { code, message: code, ...(field && { field }) }, request_id: 'r' },
    ]
    const signedIn = (): [number, unknown] => {
      this.isSignedIn = true
      return [200, { user: me, token: this.#token(), expires_at: LATER }]
    }
    const wanted = (): Person[] => this.people.filter(({ display_name }) => this.#fits(display_name, query))
    switch (call) {
      case 'GET /api/server':
        return [
          200,
          {
            name: 'messaging-server',
            version: '0.2.0',
            auth: 'accounts',
            registration: this.registration,
            push: false,
            max_content_bytes: 16384,
          },
        ]
      case 'POST /api/auth/login':
        if (body['username'] === 'tired') return error(429, 'rate_limited')
        return body['password'] === 'correct horse' ? signedIn() : error(401, 'invalid_credentials')
      case 'POST /api/auth/register':
        if (body['username'] === 'bob') return error(409, 'username_taken')
        if (body['password'] === 'password') return error(400, 'weak_password')
        return body['invite'] === 'used' ? error(400, 'invite_invalid') : signedIn()
      case 'POST /api/auth/token':
        return this.isSignedIn ? [200, { token: this.#token(), expires_at: LATER }] : error(401, 'unauthorized')
      case 'POST /api/auth/recover':
      case 'POST /api/auth/reset':
        return [204, undefined]
      case 'POST /api/auth/logout':
        this.isSignedIn = false
        return [204, undefined]
      case 'POST /api/users/me/recovery_codes':
        return this.isLoginOld ? error(403, 'reauthentication_required') : [200, { recovery_codes: CODES }]
      case 'POST /api/auth/password':
        return body['current'] === 'correct horse' ? [204, undefined] : error(401, 'invalid_credentials')
      case 'GET /api/users/me':
        return [200, { ...me, discoverable: true, created_at: LATER }]
      case 'PATCH /api/users/me':
        return [200, Object.assign(me, body)]
      case 'GET /api/users':
        return [200, { users: query.has('ids') ? this.people : wanted() }]
      case 'GET /api/auth/sessions':
        return [200, { sessions: this.#sessions() }]
      case 'GET /api/invites':
        return [200, { invites: this.invites }]
      case 'POST /api/invites':
        this.invites = [
          ...this.invites,
          { code_id: `c${this.invites.length + 1}`, uses: Number(body['uses']), expires_at: LATER },
        ]
        return [200, { code_id: 'c2', code: 'x', url: 'https://chat.example/#invite=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4' }]
      case 'GET /api/admin/users':
        return [200, { users: wanted(), next_cursor: null }]
      default:
        return this.#administer(call, body)
    }
  }

  #administer(call: string, body: Record<string, string>): [status: number, answer: unknown] {
    const [, id, action] = /\/api\/admin\/users\/([\w-]+)\/(\w+)$/.exec(call) ?? []
    const person = this.people.find(({ user_id }) => user_id === id)
    if (!person) return [call.startsWith('DELETE') ? 204 : 404, { error: { code: 'not_found', message: '' } }]
    if (action === 'suspend') person.state = 'suspended'
    if (action === 'unsuspend') person.state = 'active'
    if (action === 'role') person.role = body['role'] ?? ''
    if (action === 'reset_link') return [200, { url: 'https://chat.example/#reset=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4' }]
    return [200, person]
  }

  #fits(name: string, query: URLSearchParams): boolean {
    return name.toLowerCase().includes((query.get('search') ?? '').toLowerCase())
  }

  #sessions(): object[] {
    const session = (session_id: string, device_name: string, hours: number, current = false) => ({
      ...{ session_id, device_name, current, created_at: '2026-11-01T09:00:00.000Z' },
      last_used_at: new Date(Date.now() - hours * 3_600_000).toISOString(),
    })
    return [
      session('s2', 'Firefox on Linux', 5),
      session('s1', 'Chromium on Debian', 0, true),
      session('s3', 'Safari on iPhone', 60),
    ]
  }

  #token(): string {
    const now = Math.floor(Date.now() / 1000)
    return tokenOf({ sub: this.people[0]?.user_id, iat: now - 1, exp: now + 600 }, hmacSigner())
  }
}
