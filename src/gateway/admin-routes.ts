import type { Account } from '../accounts/account.ts'
import type { Invite } from '../accounts/admin-store.ts'
import type { Actor } from '../accounts/audit.ts'
import { type AccountServices, accountToWire, askerOf, DONE } from './account-routes.ts'
import type { Credential } from './credential.ts'
import { parseBody, parseNoFields, parseQuery } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import { deletedUser, type UserServices } from './user-routes.ts'
import * as wire from './wire/administration.ts'

/** An administrator, or a key with the scope `admin`, as the audit shows them. */
export interface AdminRequest extends RestRequest {
  readonly actor: Actor
  /** Throws unless the login is at most five minutes old; a key has none. */
  requireFresh(): Promise<void>
}

/** The request of a person who is certainly an administrator, and signed in as one. Rejects with `forbidden`. */
export async function adminRequest(
  request: RestRequest,
  services: AccountServices,
  credential: Credential,
): Promise<AdminRequest> {
  const { address, requestId } = askerOf(request, services)
  if (credential.kind === 'key') {
    const actor = { kind: 'key', id: credential.key.keyId, address, requestId } as const
    return { ...request, actor, requireFresh: () => Promise.resolve() }
  }
  if (credential.kind !== 'person') throw new RequestError('forbidden')
  const { userId, sessionId } = credential.identity
  await services.administration.requireAdmin({ userId, sessionId })
  return {
    ...request,
    actor: { kind: 'user', id: userId, address, requestId },
    requireFresh: () => services.sessions.requireFresh(sessionId),
  }
}

/** `GET /api/admin/users` */
export async function peopleRoute(request: AdminRequest, { administration }: AccountServices): Promise<RestAnswer> {
  const { search, cursor } = parseQuery(wire.peopleQuery, request)
  const { accounts, nextCursor } = await administration.list(search, cursor)
  return jsonAnswer(200, { users: accounts.map(personToWire), next_cursor: nextCursor })
}

/** `POST /api/admin/users/{user_id}/suspend` */
export async function suspendRoute(request: AdminRequest, { administration }: AccountServices): Promise<RestAnswer> {
  parseNoFields(request)
  return jsonAnswer(200, personToWire(await administration.suspend(userIn(request), request.actor)))
}

/** `POST /api/admin/users/{user_id}/unsuspend` */
export async function unsuspendRoute(request: AdminRequest, { administration }: AccountServices): Promise<RestAnswer> {
  parseNoFields(request)
  return jsonAnswer(200, personToWire(await administration.unsuspend(userIn(request), request.actor)))
}

/** `POST /api/admin/users/{user_id}/role` */
export async function roleRoute(request: AdminRequest, { administration }: AccountServices): Promise<RestAnswer> {
  const { role } = parseBody(wire.roleBody, request)
  await request.requireFresh()
  return jsonAnswer(200, personToWire(await administration.setRole(userIn(request), role, request.actor)))
}

/** `POST /api/admin/users/{user_id}/reset_link` */
export async function resetLinkRoute(
  request: AdminRequest,
  { administration, address }: AccountServices,
): Promise<RestAnswer> {
  parseNoFields(request)
  // Whoever opens it owns the account, so a page that somebody left open must not be enough to make one.
  await request.requireFresh()
  const secret = await administration.resetSecret(userIn(request), request.actor)
  return jsonAnswer(200, { url: address.link('reset', secret) })
}

/** `DELETE /api/admin/users/{user_id}` */
export async function removeRoute(
  request: AdminRequest,
  { administration }: AccountServices,
  { userChanged }: UserServices,
): Promise<RestAnswer> {
  await request.requireFresh()
  const userId = userIn(request)
  await administration.remove(userId, request.actor)
  userChanged(deletedUser(userId))
  return DONE
}

/** `POST /api/invites` */
export async function inviteRoute(
  request: AdminRequest,
  { administration, address }: AccountServices,
): Promise<RestAnswer> {
  const { uses, expires_in, role } = request.body.length === 0 ? {} : parseBody(wire.inviteBody, request)
  // Whoever comes by it administers: as a change of role.
  if (role === 'admin') await request.requireFresh()
  const invite = await administration.invite({ uses, lifetimeSeconds: expires_in, role }, request.actor)
  const { code } = invite
  return jsonAnswer(201, { ...inviteToWire(invite), code, url: address.link('invite', code) })
}

/** `GET /api/invites` */
export async function invitesRoute(_request: AdminRequest, { administration }: AccountServices): Promise<RestAnswer> {
  return jsonAnswer(200, { invites: (await administration.invites()).map(inviteToWire) })
}

/** `DELETE /api/invites/{code_id}` */
export async function revokeInviteRoute(
  request: AdminRequest,
  { administration }: AccountServices,
): Promise<RestAnswer> {
  await administration.revokeInvite(request.path.slice(request.path.lastIndexOf('/') + 1), request.actor)
  return DONE
}

/** `/api/admin/users/{user_id}…` */
function userIn({ path }: RestRequest): string {
  const [, , , , userId = ''] = path.split('/')
  return userId
}

function personToWire(account: Account) {
  return { ...accountToWire(account), state: account.state, created_at: new Date(account.createdAtMs).toISOString() }
}

function inviteToWire({ codeId, role, uses, usesLeft, createdBy, createdAtMs, expiresAtMs }: Invite) {
  return {
    code_id: codeId,
    role,
    uses,
    uses_left: usesLeft,
    created_by: createdBy,
    created_at: new Date(createdAtMs).toISOString(),
    expires_at: new Date(expiresAtMs).toISOString(),
  }
}
