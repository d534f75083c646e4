import type { Account } from '../accounts/account.ts'
import { actorOf } from '../accounts/asker.ts'
import { MAX_PICTURE_BYTES, type Picture, pictureIn } from '../users/picture.ts'
import { type AccountServices, accountToWire, askerOf, DONE } from './account-routes.ts'
import { type Credential, userOf } from './credential.ts'
import { parseBody, parseQuery } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import { personOf } from './session-routes.ts'
import { deletedUser, type UserServices, userToWire } from './user-routes.ts'
import * as accounts from './wire/accounts.ts'
import * as identity from './wire/identity.ts'

/** `GET /api/users/me`, with built-in accounts. */
export async function profileRoute(
  _request: RestRequest,
  { profiles }: AccountServices,
  credential: Credential,
): Promise<RestAnswer> {
  return jsonAnswer(200, profileToWire(await profiles.of(personOf(credential).userId)))
}

/** `PATCH /api/users/me`, with built-in accounts. */
export async function changeProfileRoute(
  request: RestRequest,
  services: AccountServices,
  credential: Credential,
  { userChanged }: Pick<UserServices, 'userChanged'>,
): Promise<RestAnswer> {
  const { display_name, username, discoverable } = parseBody(accounts.profileBody, request)
  const change = { displayName: display_name, username, discoverable }
  const account = await services.profiles.change(personOf(credential).userId, change, askerOf(request, services))
  userChanged(account)
  return jsonAnswer(200, profileToWire(account))
}

/** `DELETE /api/users/me`: for ever. */
export async function deleteMeRoute(
  request: RestRequest,
  services: AccountServices,
  credential: Credential,
  { userChanged }: UserServices,
): Promise<RestAnswer> {
  const { userId, sessionId } = personOf(credential)
  const { password } = parseBody(accounts.deleteBody, request)
  const asker = askerOf(request, services)
  await services.sessions.requireFresh(sessionId)
  await services.changes.prove(userId, password, asker)
  await services.administration.remove(userId, actorOf(asker, userId))
  userChanged(deletedUser(userId))
  return DONE
}

function profileToWire(account: Account) {
  const { discoverable, createdAtMs } = account
  return { ...accountToWire(account), discoverable, created_at: new Date(createdAtMs).toISOString() }
}

/** `PUT /api/users/me/avatar`: the one body that is not JSON. */
export async function setAvatarRoute(
  request: RestRequest,
  people: UserServices,
  credential: Credential,
): Promise<RestAnswer> {
  const userId = ownId(request, credential)
  const { body } = request
  await people.avatars.set(userId, pictureOf(request), Buffer.from(body))
  return changedAnswer(userId, people)
}

/** `DELETE /api/users/me/avatar` */
export async function removeAvatarRoute(
  request: RestRequest,
  people: UserServices,
  credential: Credential,
): Promise<RestAnswer> {
  const userId = ownId(request, credential)
  await people.avatars.remove(userId)
  return changedAnswer(userId, people)
}

/** `GET /api/avatars/{avatar_id}`: an address shows one picture for ever, or none any more. */
export async function avatarRoute({ path }: RestRequest, { avatars }: UserServices): Promise<RestAnswer> {
  const avatarId = path.slice(path.lastIndexOf('/') + 1)
  const avatar = identity.avatarId.safeParse(avatarId).success ? await avatars.find(avatarId) : undefined
  if (!avatar) throw new RequestError('not_found')
  return { status: 200, body: avatar.bytes, headers: { 'Content-Type': avatar.mediaType, ...SHOWN_ONLY } }
}

/** Whatever it may hold beside a picture runs nowhere, also when somebody opens its address. */
const SHOWN_ONLY = {
  'Cache-Control': 'public, max-age=31536000, immutable',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
}

function ownId(request: RestRequest, credential: Credential): string {
  const { user_id } = parseQuery(identity.userQuery, request)
  return userOf(credential, request, { user_id })
}

/** By its own bytes; what it is called has to agree. */
function pictureOf({ headers, body }: RestRequest): Picture {
  const [type = ''] = (headers.get('content-type') ?? '').toLowerCase().split(';')
  if (!TYPES.includes(type.trim())) {
    throw new RequestError('unsupported_media_type', { message: `The body must be one of ${TYPES.join(', ')}.` })
  }
  const picture = pictureIn(Buffer.from(body))
  if (typeof picture === 'string') throw new RequestError('invalid_request', { message: `The picture ${picture}.` })
  if (picture.mediaType === type.trim()) return picture
  throw new RequestError('unsupported_media_type', { message: `The body is ${picture.mediaType}.` })
}

const TYPES = ['image/png', 'image/jpeg', 'image/webp']

async function changedAnswer(userId: string, { users, userChanged }: UserServices): Promise<RestAnswer> {
  const [user] = await users.find([userId])
  if (!user) throw new RequestError('not_found')
  userChanged(user)
  return jsonAnswer(200, userToWire(user))
}

/** How many bytes a request to this address may bring, where that is not what all others may. */
export function bodyLimitOf(method: string, path: string): number | undefined {
  return method === 'PUT' && path === '/api/users/me/avatar' ? MAX_PICTURE_BYTES : undefined
}
