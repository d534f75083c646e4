import * as z from 'zod'
import { accountOperations } from './account-operations.ts'
import { adminOperations } from './admin-operations.ts'
import { identityOperations } from './identity-operations.ts'
import type { Operation } from './operation.ts'
import { pushOperations } from './push-operations.ts'
import * as rest from './rest.ts'

const state = z.object({
  status: z.string(),
  reasons: z.array(z.string()).optional(),
  degraded: z.array(z.string()).optional(),
})

/** Every route; a test compares them with the route table. */
export const OPERATIONS: readonly Operation[] = [
  ...identityOperations,
  ...accountOperations,
  ...pushOperations,
  ...adminOperations,
  {
    path: '/api/send_message',
    method: 'post',
    summary: 'Store a message and deliver it. Answered only after the commit.',
    query: rest.senderQuery,
    headers: rest.sendHeaders,
    body: rest.sendBody,
    answers: {
      201: { description: 'Stored.', schema: rest.sendAnswer },
      200: { description: 'It was stored before; the first outcome.', schema: rest.sendAnswer },
    },
  },
  {
    path: '/api/messages',
    method: 'get',
    summary: 'A page of one conversation, in ascending order of seq.',
    query: rest.messagesQuery,
    headers: rest.askerHeaders,
    answers: { 200: { description: 'The page.', schema: rest.messagesAnswer } },
  },
  {
    path: '/api/conversations',
    method: 'get',
    summary: 'Conversations of a user, newest first.',
    query: rest.conversationsQuery,
    headers: rest.askerHeaders,
    answers: { 200: { description: 'The page.', schema: rest.conversationsAnswer } },
  },
  {
    path: '/api/online_users',
    method: 'get',
    summary: 'Who is connected, sorted by user id.',
    query: rest.onlineUsersQuery,
    answers: { 200: { description: 'The page.', schema: rest.onlineUsersAnswer } },
  },
  {
    path: '/healthz',
    method: 'get',
    summary: 'The process is alive.',
    answers: { 200: { description: 'Alive.', schema: state } },
  },
  {
    path: '/readyz',
    method: 'get',
    summary: 'The service can store.',
    answers: { 200: { description: 'Ready.', schema: state }, 503: { description: 'Not ready.', schema: state } },
  },
  {
    path: '/metrics',
    method: 'get',
    summary: 'Prometheus metrics, as text.',
    answers: { 200: { description: 'Metrics.' } },
  },
  {
    path: '/openapi.json',
    method: 'get',
    summary: 'This document.',
    answers: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({}) } },
  },
  {
    path: '/asyncapi.json',
    method: 'get',
    summary: 'The commands and events of /ws.',
    answers: { 200: { description: 'AsyncAPI 3.0.', schema: z.looseObject({}) } },
  },
  {
    path: '/ws',
    method: 'get',
    summary: 'WebSocket upgrade; `user_id` says who connects.',
    query: rest.socketQuery,
    answers: { 101: { description: 'Switching protocols.' } },
  },
]
