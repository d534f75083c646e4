import * as z from 'zod'
import { userId } from './fields.ts'
import * as identity from './identity.ts'
import type { Operation } from './operation.ts'
import { askerHeaders } from './rest.ts'

const USER_PATH = z.object({ user_id: userId })

/** Operations of identity: credentials, and how people are shown. */
export const identityOperations: readonly Operation[] = [
  {
    path: '/api/server',
    method: 'get',
    summary: 'What a client has to know before it can say who it is.',
    answers: { 200: { description: 'The server.', schema: identity.serverAnswer } },
  },
  {
    path: '/api/users',
    method: 'get',
    summary: 'People by ids, by username, or by the beginning of their id or of a word of their name.',
    access: 'a person, or a key with read:any',
    query: identity.usersQuery,
    answers: { 200: { description: 'The people.', schema: identity.usersAnswer } },
  },
  {
    path: '/api/users/me',
    method: 'get',
    summary: 'Oneself.',
    access: 'a person',
    query: identity.userQuery,
    headers: askerHeaders,
    answers: { 200: { description: 'The user.', schema: identity.oneself } },
  },
  {
    path: '/api/users/me',
    method: 'patch',
    summary: 'Change how one is shown; null takes away.',
    access: 'a person',
    query: identity.userQuery,
    headers: askerHeaders,
    body: identity.describeBody,
    answers: { 200: { description: 'The user.', schema: identity.oneself } },
  },
  {
    path: '/api/users/{user_id}',
    method: 'get',
    summary: 'One person; somebody whom nobody described is shown by their id.',
    access: 'a person, or a key with read:any',
    params: USER_PATH,
    query: identity.userQuery,
    answers: { 200: { description: 'The user.', schema: identity.oneself } },
  },
  {
    path: '/api/users/{user_id}',
    method: 'put',
    summary: 'Describe a person; null takes away.',
    access: 'a key with users:write',
    params: USER_PATH,
    query: identity.userQuery,
    body: identity.describeBody,
    answers: { 200: { description: 'The user.', schema: identity.user } },
  },
  {
    path: '/api/auth/ticket',
    method: 'post',
    summary: 'A ticket that opens one socket: /ws?ticket=.',
    access: 'a person',
    answers: { 200: { description: 'The ticket.', schema: identity.ticketAnswer } },
  },
  {
    path: '/api/auth/tokens',
    method: 'post',
    summary: 'Make a token of a person.',
    access: 'a key with tokens:issue, and JWT_SECRET',
    body: identity.tokenBody,
    answers: { 200: { description: 'The token.', schema: identity.tokenAnswer } },
  },
  {
    path: '/api/auth/revoke',
    method: 'post',
    summary: 'Refuse tokens from now on and end their sockets, within two seconds everywhere.',
    access: 'a key with sessions:revoke, or an administrator',
    body: identity.revokeBody,
    answers: { 204: { description: 'Revoked, and durable.' } },
  },
]
