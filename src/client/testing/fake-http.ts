import type { UserId } from '../../protocol/message.ts'
import type { Fetch, ResponseLike } from '../environment.ts'

interface Answering {
  readonly isDown: boolean
  readonly userOf?: ((token: string) => UserId | undefined) | undefined
}

/**
 * HTTP as a client asks it by itself, which is to learn why a socket was refused: whether the server is ready, and whether the
 * token is good. It knows no other path.
 */
export function fakeFetch(asked: () => Answering): Fetch {
  return (url, { headers = {} } = {}) => {
    const { isDown, userOf } = asked()
    if (isDown) return Promise.reject(new TypeError('fetch failed'))
    const { pathname } = new URL(url)
    if (pathname === '/readyz') return Promise.resolve(answer(200))
    if (pathname !== '/api/users/me') return Promise.resolve(answer(404))
    const token = headers['authorization']?.replace(/^Bearer /, '') ?? ''
    return Promise.resolve(answer(!userOf || userOf(token) !== undefined ? 200 : 401))
  }
}

function answer(status: number): ResponseLike {
  return { status, ok: status === 200, headers: { get: () => null }, json: () => Promise.resolve({}) }
}
