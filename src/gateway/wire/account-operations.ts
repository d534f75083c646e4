import * as z from 'zod'
import * as accounts from './accounts.ts'
import { noFields } from './fields.ts'
import * as identity from './identity.ts'
import type { Operation } from './operation.ts'

const done = { 204: { description: 'Done, and durable.' } }

/** Signing in and out, with AUTH=accounts. */
export const accountOperations: readonly Operation[] = [
  {
    path: '/api/auth/register',
    method: 'post',
    summary: 'Make an account and sign in.',
    body: accounts.registerBody,
    answers: { 201: { description: 'Signed in.', schema: accounts.signedInAnswer } },
  },
  {
    path: '/api/auth/login',
    method: 'post',
    summary: 'Sign in. A page gets cookies; a program (client "token") a refresh token and a device token.',
    body: accounts.loginBody,
    answers: { 200: { description: 'Signed in.', schema: accounts.signedInAnswer } },
  },
  {
    path: '/api/auth/token',
    method: 'post',
    summary: 'An access token for the session cookie of a page of the own origin.',
    body: noFields,
    answers: { 200: { description: 'The token.', schema: accounts.tokenAnswer } },
  },
  {
    path: '/api/auth/refresh',
    method: 'post',
    summary: 'An access token and the next refresh token. The same attempt gets the same answer again.',
    body: accounts.refreshBody,
    answers: { 200: { description: 'The tokens.', schema: accounts.refreshAnswer } },
  },
  {
    path: '/api/auth/logout',
    method: 'post',
    summary: "End the bearer's session, else the cookie's.",
    body: noFields,
    answers: done,
  },
  {
    path: '/api/auth/logout_all',
    method: 'post',
    summary: 'End every session of oneself.',
    body: noFields,
    answers: done,
  },
  {
    path: '/api/auth/sessions',
    method: 'get',
    summary: 'The open sessions of oneself.',
    access: 'a person',
    answers: { 200: { description: 'The sessions.', schema: accounts.sessionsAnswer } },
  },
  {
    path: '/api/auth/sessions/{session_id}',
    method: 'delete',
    summary: 'End one session of oneself.',
    access: 'a person',
    params: z.object({ session_id: z.guid() }),
    answers: done,
  },
  {
    path: '/api/auth/password',
    method: 'post',
    summary: 'Change the password; the other sessions end.',
    access: 'a person',
    body: accounts.passwordBody,
    answers: done,
  },
  {
    path: '/api/auth/recover',
    method: 'post',
    summary: 'Set a new password by a recovery code; all sessions end.',
    body: accounts.recoverBody,
    answers: done,
  },
  {
    path: '/api/auth/reset',
    method: 'post',
    summary: 'Set a new password by a link; all sessions end.',
    body: accounts.resetBody,
    answers: done,
  },
  {
    path: '/api/users/me',
    method: 'delete',
    summary: 'Delete the own account for ever; messages stay. Needs a login of the last five minutes.',
    access: 'a person',
    body: accounts.deleteBody,
    answers: done,
  },
  {
    path: '/api/users/me/avatar',
    method: 'put',
    summary: 'Show another picture of oneself: at most 256 KiB, and 2,048 pixels wide and high.',
    access: 'a person',
    query: identity.userQuery,
    bytes: ['image/png', 'image/jpeg', 'image/webp'],
    answers: { 200: { description: 'The user.', schema: identity.user } },
  },
  {
    path: '/api/users/me/avatar',
    method: 'delete',
    summary: 'Show no picture of oneself.',
    access: 'a person',
    query: identity.userQuery,
    answers: { 200: { description: 'The user.', schema: identity.user } },
  },
  {
    path: '/api/avatars/{avatar_id}',
    method: 'get',
    summary: 'A picture of somebody; its address never shows another.',
    params: z.object({ avatar_id: identity.avatarId }),
    answers: { 200: { description: 'The picture.' } },
  },
  {
    path: '/api/users/me/recovery_codes',
    method: 'post',
    summary: 'Ten new recovery codes, shown once. Needs a login of the last five minutes.',
    access: 'a person',
    body: noFields,
    answers: { 200: { description: 'The codes.', schema: accounts.recoveryCodesAnswer } },
  },
]
