import type { PushService } from '../push/service.ts'
import { type AccountServices, loginRoute, recoverRoute, registerRoute, resetRoute } from './account-routes.ts'
import {
  type AdminRequest,
  adminRequest,
  inviteRoute,
  invitesRoute,
  peopleRoute,
  removeRoute,
  resetLinkRoute,
  revokeInviteRoute,
  roleRoute,
  suspendRoute,
  unsuspendRoute,
} from './admin-routes.ts'
import { type AuthServices, revokeRoute, ticketRoute, tokensRoute } from './auth-routes.ts'
import type { Access, Credential } from './credential.ts'
import { conversationsRoute, messagesRoute, onlineUsersRoute, sendMessageRoute } from './message-routes.ts'
import { metricsRoute, readyRoute, serverRoute, upgradeRequiredRoute } from './operator-routes.ts'
import {
  avatarRoute,
  changeProfileRoute,
  deleteMeRoute,
  profileRoute,
  removeAvatarRoute,
  setAvatarRoute,
} from './profile-routes.ts'
import { pushKeyRoute, pushTestRoute, subscribeRoute, unsubscribeRoute } from './push-routes.ts'
import { documentAnswer, jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import type { Route } from './route.ts'
import {
  cookieTokenRoute,
  endSessionRoute,
  logoutAllRoute,
  logoutRoute,
  passwordRoute,
  recoveryCodesRoute,
  refreshRoute,
  sessionsRoute,
} from './session-routes.ts'
import { describeMeRoute, describeRoute, type UserServices, userRoute, usersRoute, wantedUser } from './user-routes.ts'
import { asyncApiDocument } from './wire/asyncapi.ts'
import { openApiDocument } from './wire/openapi.ts'

const ANYONE: Access = { who: 'anyone' }
const PERSON: Access = { who: 'person' }
const ADMIN: Access = { who: 'admin', scope: 'admin' }
const READER: Access = { who: 'person', scope: 'read:any' }

/** The whole REST API: path, method, who may use it, and what it does. */
const ROUTES: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  '/api/send_message': {
    POST: { access: { who: 'person', scope: 'send:any' }, parsesQuery: true, handle: sendMessageRoute },
  },
  '/api/messages': { GET: { access: READER, parsesQuery: true, handle: messagesRoute } },
  '/api/conversations': { GET: { access: READER, parsesQuery: true, handle: conversationsRoute } },
  '/api/online_users': {
    GET: { access: { who: 'person', scope: 'presence:read' }, parsesQuery: true, handle: onlineUsersRoute },
  },
  '/api/server': { GET: { access: ANYONE, handle: serverRoute } },
  '/api/users': { GET: { access: READER, parsesQuery: true, handle: ofPeople(usersRoute) } },
  '/api/users/me': {
    GET: { access: PERSON, handle: ofMe(profileRoute, userRoute) },
    PATCH: { access: PERSON, handle: ofMe(changeProfileRoute, describeMeRoute) },
    DELETE: { access: PERSON, handle: ofAccounts(deleteMeRoute) },
  },
  '/api/users/me/avatar': {
    PUT: { access: PERSON, handle: ofPeople(setAvatarRoute) },
    DELETE: { access: PERSON, handle: ofPeople(removeAvatarRoute) },
  },
  '/api/avatars/{avatar_id}': { GET: { access: ANYONE, handle: ofPeople(avatarRoute) } },
  '/api/users/{user_id}': {
    GET: { access: READER, handle: ofOneself(profileRoute, userRoute) },
    PUT: { access: { who: 'key', scope: 'users:write' }, handle: ofPeople(describeRoute) },
  },
  '/api/auth/ticket': { POST: { access: PERSON, handle: ofAuth(ticketRoute) } },
  '/api/auth/tokens': { POST: { access: { who: 'key', scope: 'tokens:issue' }, handle: ofAuth(tokensRoute) } },
  '/api/auth/revoke': { POST: { access: { who: 'admin', scope: 'sessions:revoke' }, handle: ofRevokers(revokeRoute) } },
  '/api/auth/register': { POST: { access: ANYONE, handle: ofAccounts(registerRoute) } },
  '/api/auth/login': { POST: { access: ANYONE, handle: ofAccounts(loginRoute) } },
  '/api/auth/token': { POST: { access: ANYONE, handle: ofAccounts(cookieTokenRoute) } },
  '/api/auth/refresh': { POST: { access: ANYONE, handle: ofAccounts(refreshRoute) } },
  '/api/auth/recover': { POST: { access: ANYONE, handle: ofAccounts(recoverRoute) } },
  '/api/auth/reset': { POST: { access: ANYONE, handle: ofAccounts(resetRoute) } },
  // Their own rule: the bearer's session, else that of the cookie.
  '/api/auth/logout': { POST: { access: ANYONE, handle: ofSession(logoutRoute) } },
  '/api/auth/logout_all': { POST: { access: ANYONE, handle: ofSession(logoutAllRoute) } },
  '/api/auth/sessions': { GET: { access: PERSON, handle: ofAccounts(sessionsRoute) } },
  '/api/auth/sessions/{session_id}': { DELETE: { access: PERSON, handle: ofAccounts(endSessionRoute) } },
  '/api/auth/password': { POST: { access: PERSON, handle: ofAccounts(passwordRoute) } },
  '/api/users/me/recovery_codes': { POST: { access: PERSON, handle: ofAccounts(recoveryCodesRoute) } },
  '/api/push/key': { GET: { access: PERSON, handle: ofPush(pushKeyRoute) } },
  '/api/push/subscription': {
    PUT: { access: PERSON, handle: ofPush(subscribeRoute) },
    DELETE: { access: PERSON, handle: ofPush(unsubscribeRoute) },
  },
  '/api/push/test': { POST: { access: PERSON, handle: ofPush(pushTestRoute) } },
  '/api/invites': {
    GET: { access: ADMIN, handle: ofAdmins(invitesRoute) },
    POST: { access: ADMIN, handle: ofAdmins(inviteRoute) },
  },
  '/api/invites/{code_id}': { DELETE: { access: ADMIN, handle: ofAdmins(revokeInviteRoute) } },
  '/api/admin/users': { GET: { access: ADMIN, parsesQuery: true, handle: ofAdmins(peopleRoute) } },
  '/api/admin/users/{user_id}': { DELETE: { access: ADMIN, handle: ofAdmins(removeRoute) } },
  '/api/admin/users/{user_id}/suspend': { POST: { access: ADMIN, handle: ofAdmins(suspendRoute) } },
  '/api/admin/users/{user_id}/unsuspend': { POST: { access: ADMIN, handle: ofAdmins(unsuspendRoute) } },
  '/api/admin/users/{user_id}/role': { POST: { access: ADMIN, handle: ofAdmins(roleRoute) } },
  '/api/admin/users/{user_id}/reset_link': { POST: { access: ADMIN, handle: ofAdmins(resetLinkRoute) } },
  '/healthz': { GET: { access: ANYONE, handle: () => jsonAnswer(200, { status: 'ok' }) } },
  '/readyz': { GET: { access: ANYONE, handle: readyRoute } },
  // Its own rule: this machine, or a token of the operator.
  '/metrics': { GET: { access: ANYONE, handle: metricsRoute } },
  '/openapi.json': { GET: { access: ANYONE, handle: documentAnswer(openApiDocument) } },
  '/asyncapi.json': { GET: { access: ANYONE, handle: documentAnswer(asyncApiDocument) } },
  '/ws': { GET: { access: ANYONE, handle: upgradeRequiredRoute } },
}

/** Every path and its methods, as registered. */
export const ROUTE_METHODS = Object.entries(ROUTES).map(([path, methods]) => ({
  path,
  methods: Object.keys(methods),
  access: Object.fromEntries(Object.entries(methods).map(([method, { access }]) => [method, access])),
}))

/** The row of the table that a path belongs to; undefined when there is none. */
export function patternOf(path: string): string | undefined {
  if (Object.hasOwn(ROUTES, path)) return path
  return PATTERNS.find(({ of }) => of.test(path))?.pattern
}

/** Rows whose path names something. */
const PATTERNS = Object.keys(ROUTES)
  .filter((pattern) => pattern.includes('{'))
  .map((pattern) => ({ pattern, of: new RegExp(`^${pattern.replace(/\{\w+\}/g, '[^/]+')}$`) }))

/** Throws a RequestError when there is no such path, or it does not answer this method. */
export function routeOf({ path, method }: RestRequest): Route {
  const methods = ROUTES[patternOf(path) ?? '']
  if (!methods) throw new RequestError('not_found')
  const name = method === 'HEAD' ? 'GET' : method
  const route = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (route) return route
  throw new RequestError('method_not_allowed', { headers: { Allow: allowedMethods(methods) } })
}

function allowedMethods(methods: Readonly<Record<string, Route>>): string {
  return Object.keys(methods)
    .flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]))
    .join(', ')
}

type Answer = RestAnswer | Promise<RestAnswer>

function ofPeople(
  handle: (request: RestRequest, services: UserServices, credential: Credential) => Answer,
): Route['handle'] {
  return (request, { people }, credential) => handle(request, people, credential)
}

/** With built-in accounts a person has a profile; otherwise they are described. */
function ofMe(
  withAccounts: (
    request: RestRequest,
    accounts: AccountServices,
    credential: Credential,
    people: UserServices,
  ) => Answer,
  without: (request: RestRequest, people: UserServices, credential: Credential) => Answer,
): Route['handle'] {
  return (request, { accounts, people }, credential) =>
    accounts ? withAccounts(request, accounts, credential, people) : without(request, people, credential)
}

/** With built-in accounts a person sees more of themselves, whether they say `me` or their id. */
function ofOneself(own: typeof profileRoute, others: typeof userRoute): Route['handle'] {
  return (request, { accounts, people }, credential) => {
    const isOwn = credential.kind === 'person' && credential.identity.userId === wantedUser(request)
    return accounts && isOwn ? own(request, accounts, credential) : others(request, people, credential)
  }
}

/** Where everybody is believed there is nothing to issue or to revoke. */
function ofAuth(
  handle: (request: RestRequest, services: AuthServices, credential: Credential) => Answer,
): Route['handle'] {
  return (request, { auth }, credential) => {
    if (!auth) throw new RequestError('not_found')
    return handle(request, auth, credential)
  }
}

/** A key, or with built-in accounts an administrator. */
function ofRevokers(
  handle: (request: RestRequest, services: AuthServices, credential: Credential) => Answer,
): Route['handle'] {
  return async (request, { auth, accounts }, credential) => {
    if (!auth) throw new RequestError('not_found')
    if (credential.kind === 'person') {
      if (!accounts) throw new RequestError('forbidden')
      // While it can be found: the audit tells from where also of a caller who hangs up meanwhile.
      request.address()
      await accounts.administration.requireAdmin(credential.identity)
    }
    return handle(request, auth, credential)
  }
}

/** Without built-in accounts there is nobody to sign in. */
function ofAccounts(
  handle: (request: RestRequest, services: AccountServices, credential: Credential, people: UserServices) => Answer,
): Route['handle'] {
  return (request, { accounts, people }, credential) => {
    if (!accounts) throw new RequestError('not_found')
    return handle(request, accounts, credential, people)
  }
}

function ofSession(
  handle: (request: RestRequest, accounts: AccountServices, auth: AuthServices) => Answer,
): Route['handle'] {
  return (request, { accounts, auth }) => {
    if (!accounts || !auth) throw new RequestError('not_found')
    return handle(request, accounts, auth)
  }
}

/** While push is off there is nothing to subscribe to. */
function ofPush(handle: (request: RestRequest, push: PushService, credential: Credential) => Answer): Route['handle'] {
  return (request, { push }, credential) => {
    if (!push) throw new RequestError('not_found')
    return handle(request, push, credential)
  }
}

function ofAdmins(
  handle: (request: AdminRequest, services: AccountServices, people: UserServices) => Promise<RestAnswer>,
): Route['handle'] {
  return ofAccounts(async (request, accounts, credential, people) =>
    handle(await adminRequest(request, accounts, credential), accounts, people),
  )
}
