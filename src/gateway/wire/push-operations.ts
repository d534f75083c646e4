import { userQuery } from './identity.ts'
import type { Operation } from './operation.ts'
import * as push from './push.ts'
import { askerHeaders } from './rest.ts'

/** Notifications of browsers that have no page open. All of it is 404 while push is off. */
export const pushOperations: readonly Operation[] = [
  {
    path: '/api/push/key',
    method: 'get',
    summary: 'What a browser subscribes with.',
    access: 'a person',
    answers: { 200: { description: 'The public key, as base64url.', schema: push.keyAnswer } },
  },
  {
    path: '/api/push/subscription',
    method: 'put',
    summary: 'Declare the whole state of one browser. The last owner of an endpoint has it.',
    access: 'a person',
    query: userQuery,
    headers: askerHeaders,
    body: push.subscriptionBody,
    answers: { 204: { description: 'It is told from now on.' } },
  },
  {
    path: '/api/push/subscription',
    method: 'delete',
    summary: 'Tell a browser nothing any more.',
    access: 'a person',
    query: userQuery,
    headers: askerHeaders,
    body: push.endpointBody,
    answers: { 204: { description: 'It is told nothing any more.' } },
  },
  {
    path: '/api/push/test',
    method: 'post',
    summary: 'One notification on every device of this user, once in ten seconds.',
    access: 'a person',
    query: userQuery,
    headers: askerHeaders,
    answers: { 202: { description: 'It was handed to the push services.' } },
  },
]
