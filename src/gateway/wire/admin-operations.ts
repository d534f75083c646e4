import * as wire from './administration.ts'
import { noFields } from './fields.ts'
import type { Operation } from './operation.ts'

const access = 'an administrator, or a key with admin'
const done = { 204: { description: 'Done, and durable.' } }
const person = { 200: { description: 'The person as they are now.', schema: wire.person } }

/** What administrators may do, with AUTH=accounts. */
export const adminOperations: readonly Operation[] = [
  {
    path: '/api/admin/users',
    method: 'get',
    summary: 'People by username, fifty at a time; `search` is a prefix of a username or of a word of a name.',
    access,
    query: wire.peopleQuery,
    answers: { 200: { description: 'A page of people.', schema: wire.peopleAnswer } },
  },
  {
    path: '/api/admin/users/{user_id}',
    method: 'delete',
    summary: 'Delete an account for ever. Needs a login of the last five minutes.',
    access,
    params: wire.personPath,
    answers: done,
  },
  {
    path: '/api/admin/users/{user_id}/suspend',
    method: 'post',
    summary: 'End every login and socket of a person, and let nobody write to them.',
    access,
    params: wire.personPath,
    body: noFields,
    answers: person,
  },
  {
    path: '/api/admin/users/{user_id}/unsuspend',
    method: 'post',
    summary: 'Let a person sign in and be written to again.',
    access,
    params: wire.personPath,
    body: noFields,
    answers: person,
  },
  {
    path: '/api/admin/users/{user_id}/role',
    method: 'post',
    summary: "Change a person's role; their tokens end. Needs a login of the last five minutes.",
    access,
    params: wire.personPath,
    body: wire.roleBody,
    answers: person,
  },
  {
    path: '/api/admin/users/{user_id}/reset_link',
    method: 'post',
    summary:
      'A link by which the person sets another password, once and within a day. Needs a login of the last five minutes.',
    access,
    params: wire.personPath,
    body: noFields,
    answers: { 200: { description: 'The link.', schema: wire.linkAnswer } },
  },
  {
    path: '/api/invites',
    method: 'post',
    summary: 'An invite to register; its code is shown this one time. One use and seven days unless said.',
    access,
    body: wire.inviteBody,
    answers: { 201: { description: 'The invite.', schema: wire.newInviteAnswer } },
  },
  {
    path: '/api/invites',
    method: 'get',
    summary: 'The invites that are still good.',
    access,
    answers: { 200: { description: 'The invites.', schema: wire.invitesAnswer } },
  },
  {
    path: '/api/invites/{code_id}',
    method: 'delete',
    summary: 'Revoke an invite.',
    access,
    params: wire.invitePath,
    answers: done,
  },
]
