import type { UserChanged } from '../protocol/events.ts'
import type { UserId } from '../protocol/message.ts'
import type { Avatars } from '../users/avatars.ts'
import { avatarUrlFault, type Describer, displayNameFault, type User, type UserDirectory } from '../users/user.ts'
import { type Credential, userOf } from './credential.ts'
import { parseBody, parseQuery } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import * as wire from './wire/identity.ts'

export interface UserServices {
  readonly users: UserDirectory
  /** Whether people may search; a key with `read:any` always may. */
  readonly hasUserSearch: boolean
  readonly avatars: Avatars
  /** Tells the watchers of this user. */
  readonly userChanged: (user: User) => void
}

const MAX_FOUND = 20

/** `GET /api/users?ids= | ?search= | ?username=` */
export async function usersRoute(
  request: RestRequest,
  services: UserServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { ids, search, username } = parseQuery(wire.usersQuery, request)
  if ([ids, search, username].filter((one) => one !== undefined).length !== 1) {
    throw new RequestError('invalid_request', { message: 'Name one of ids, search and username.' })
  }
  return jsonAnswer(200, {
    users: (await found({ ids: ids?.split(','), search, username }, services, credential)).map(userToWire),
  })
}

async function found(
  {
    ids,
    search,
    username = '',
  }: { ids?: readonly UserId[] | undefined; search?: string | undefined; username?: string | undefined },
  { users, hasUserSearch }: UserServices,
  credential: Credential,
): Promise<readonly User[]> {
  if (ids) return users.find(ids)
  if (search === undefined) {
    const user = await users.named(username)
    return user ? [user] : []
  }
  if (!hasUserSearch && credential.kind === 'person') throw new RequestError('forbidden', { field: 'search' })
  return users.search(search, MAX_FOUND)
}

/** `GET /api/users/{user_id}`, `me` among them. */
export async function userRoute(
  request: RestRequest,
  { users }: UserServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { user_id } = parseQuery(wire.userQuery, request)
  const wanted = wantedUser(request)
  const userId = wanted === 'me' ? userOf(credential, request, { user_id }) : wanted
  const [user] = await users.find([userId])
  if (!user) throw new RequestError('not_found')
  return jsonAnswer(200, userToWire(user))
}

/** `PUT /api/users/{user_id}`: by a key that may write people, or under `AUTH=none` by oneself. */
export async function describeRoute(
  request: RestRequest,
  services: UserServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { user_id } = parseQuery(wire.userQuery, request)
  const userId = wantedUser(request)
  if (credential.kind === 'claimed' && userOf(credential, request, { user_id }) !== userId) {
    throw new RequestError('forbidden', { field: 'user_id' })
  }
  if (credential.kind !== 'key') return describe(userId, request, services)
  const { requestId } = request
  const by = { kind: 'key', id: credential.key.keyId, address: request.address(), requestId } as const
  return describe(userId, request, services, by)
}

/** `PATCH /api/users/me` */
export function describeMeRoute(
  request: RestRequest,
  services: UserServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { user_id } = parseQuery(wire.userQuery, request)
  return describe(userOf(credential, request, { user_id }), request, services)
}

async function describe(
  userId: UserId,
  request: RestRequest,
  { users, userChanged }: UserServices,
  by?: Describer,
): Promise<RestAnswer> {
  const { display_name, avatar_url } = parseBody(wire.describeBody, request)
  const faults = [
    ['display_name', typeof display_name === 'string' && displayNameFault(display_name)],
    ['avatar_url', typeof avatar_url === 'string' && avatarUrlFault(avatar_url)],
  ] as const
  for (const [field, fault] of faults) {
    if (fault) throw new RequestError('invalid_request', { message: `${field} ${fault}.`, field })
  }
  const user = await users.describe(userId, { displayName: display_name, avatarUrl: avatar_url }, by)
  if (!user) throw new RequestError('not_found', { field: 'user_id' })
  userChanged(user)
  return jsonAnswer(200, userToWire(user))
}

/** The last part of the path. Throws a RequestError when it is no user id. */
export function wantedUser({ path }: RestRequest): UserId {
  const text = path.slice(path.lastIndexOf('/') + 1)
  const parsed = wire.userQuery.shape.user_id.safeParse(decoded(text))
  if (parsed.success && parsed.data !== undefined) return parsed.data
  throw new RequestError('invalid_request', { message: 'The path holds no user id.', field: 'user_id' })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return '' // no user id: the caller says so
  }
}

/** How a person is told to everybody. */
export function userToWire({ userId, username, displayName, avatarUrl }: User) {
  return {
    user_id: userId,
    ...(username !== undefined && { username }),
    display_name: displayName,
    ...(avatarUrl !== undefined && { avatar: avatarUrl }),
  }
}

/** What is left to show of somebody whose account is deleted. */
export function deletedUser(userId: UserId): User {
  return { userId, displayName: userId, avatarUrl: undefined }
}

/** What the watchers of this user are told. */
export function userChangedEvent(user: User): UserChanged {
  const { userId: user_id, displayName: display_name, avatarUrl: avatar } = user
  return { type: 'user_changed', user_id, display_name, ...(avatar !== undefined && { avatar }) }
}
