import type { Command, CommandOf } from '../../protocol/commands.ts'
import type { EventOf, ServerEvent } from '../../protocol/events.ts'

interface CommandNote<Type extends Command['type']> {
  readonly summary: string
  /** What answers it, besides `error`. */
  readonly replies: readonly ServerEvent['type'][]
  readonly example: CommandOf<Type>
}

interface EventNote<Type extends ServerEvent['type']> {
  readonly summary: string
  /** Whether it comes unasked; some come both ways. */
  readonly isPush: boolean
  readonly example: EventOf<Type>
}

const AT = '2026-01-02T03:04:05.678Z'
const EPOCH = '3f1c9a52'
const ID = '019b7c5e-1d2e-7a3b-8c4d-5e6f70819203'
const MESSAGE = { id: ID, seq: 7, sender_id: 'ann', receiver_id: 'bob', content: 'Hello', created_at: AT } as const
const POSITIONS = { delivered_seq: 7, read_seq: 5, peer_delivered_seq: 7, peer_read_seq: 6 } as const

/** What a reader is told of each command. */
export const COMMAND_NOTES: { readonly [Type in Command['type']]: CommandNote<Type> } = {
  send: {
    summary: 'Store a message and deliver it. The reply comes after the commit; the same id is stored once, for ever.',
    replies: ['sent'],
    example: { type: 'send', receiver_id: 'bob', content: 'Hello', id: ID, ref: 1 },
  },
  ack: {
    summary: 'Everything of the conversation up to seq is stored here. Lower than before is ignored.',
    replies: [],
    example: { type: 'ack', with: 'bob', seq: 7 },
  },
  read: {
    summary: 'Everything of the conversation up to seq was read. Implies ack.',
    replies: [],
    example: { type: 'read', with: 'bob', seq: 7 },
  },
  typing: {
    summary: 'Never stored, and the first to be shed. active is true unless said.',
    replies: [],
    example: { type: 'typing', receiver_id: 'bob', active: true },
  },
  history: {
    summary: 'A page of one conversation: the newest messages, or those beyond an exclusive bound.',
    replies: ['history'],
    example: { type: 'history', with: 'bob', after: 6, limit: 50, ref: 2 },
  },
  conversations: {
    summary: 'A page of the own conversations, newest first.',
    replies: ['conversations'],
    example: { type: 'conversations', limit: 20, ref: 3 },
  },
  sync: {
    summary:
      'Which conversations changed: against the heads that the client has, or since the server_time of its last sync.',
    replies: ['sync'],
    example: { type: 'sync', heads: [['bob', 6]], since: AT, ref: 4 },
  },
  watch: {
    summary: 'Tell the presence of these users: now, and whenever it changes.',
    replies: ['presence'],
    example: { type: 'watch', user_ids: ['bob', 'cleo'] },
  },
  unwatch: {
    summary: 'Tell the presence of these users no longer.',
    replies: [],
    example: { type: 'unwatch', user_ids: ['cleo'] },
  },
  auth: {
    summary: 'The token of a new connection, or the one that replaces it on a live connection.',
    replies: ['welcome', 'authenticated'],
    example: { type: 'auth', token: 'eyJhbGciOi…', ref: 5 },
  },
  state: {
    summary:
      'Whether a person looks at this client; until it says so they do. Where nobody looks, push notifications go out.',
    replies: [],
    example: { type: 'state', active: false },
  },
  ping: { summary: 'Ask for a pong.', replies: ['pong'], example: { type: 'ping', ref: 6 } },
}

/** What a reader is told of each event. */
export const EVENT_NOTES: { readonly [Type in ServerEvent['type']]: EventNote<Type> } = {
  welcome: {
    summary: 'The first event of a connection. Another epoch than before: what is kept may not hold.',
    isPush: true,
    example: {
      ...{ type: 'welcome', user_id: 'ann', connection_id: 'c-1', server_time: AT, epoch: EPOCH, protocol: 1 },
      ...{ max_content_bytes: 16_384, heartbeat_seconds: 20, expires_at: '2026-01-02T04:04:05.000Z' },
    },
  },
  sent: {
    summary: 'The message is committed.',
    isPush: false,
    example: { type: 'sent', ref: 1, id: ID, seq: 7, with: 'bob', created_at: AT, duplicate: false },
  },
  message: {
    summary: 'To every socket of the receiver, and to the other sockets of the sender. Apply it by its seq.',
    isPush: true,
    example: { type: 'message', ...MESSAGE },
  },
  synced: {
    summary: 'Everything unacknowledged has been sent; from here on events are live.',
    isPush: true,
    example: { type: 'synced', server_time: AT, epoch: EPOCH },
  },
  receipt: {
    summary: 'How far `with` has received and read. With user_id (the own one) another device moved the own position.',
    isPush: true,
    example: { type: 'receipt', with: 'bob', delivered_seq: 7, read_seq: 6 },
  },
  presence: {
    summary: 'Whether a watched user is online.',
    isPush: true,
    example: { type: 'presence', user_id: 'bob', status: 'offline', last_seen: AT },
  },
  typing: {
    summary: 'Somebody writes to this user, or has stopped.',
    isPush: true,
    example: { type: 'typing', sender_id: 'bob', active: true },
  },
  history: {
    summary: 'The page that was asked for, in ascending order of seq.',
    isPush: false,
    example: { type: 'history', ref: 2, with: 'bob', messages: [MESSAGE], has_more: false },
  },
  conversations: {
    summary: 'The page that was asked for.',
    isPush: false,
    example: {
      ...{ type: 'conversations', ref: 3, next_cursor: null },
      conversations: [{ with: 'bob', last_seq: 7, last_message: MESSAGE, ...POSITIONS, unread: 2 }],
    },
  },
  sync: {
    summary: 'The conversations that changed.',
    isPush: false,
    example: {
      ...{ type: 'sync', ref: 4, server_time: AT, epoch: EPOCH },
      changed: [{ with: 'bob', last_seq: 7, ...POSITIONS }],
    },
  },
  lagging: {
    summary: 'Live events were dropped for this socket; a replay follows.',
    isPush: true,
    example: { type: 'lagging', with: 'bob' },
  },
  draining: {
    summary: 'This instance stops: connect again then.',
    isPush: true,
    example: { type: 'draining', reconnect_after_ms: 1_500 },
  },
  error: {
    summary: 'The command with this ref or id failed. Programs go by code and field; the message is for people.',
    isPush: true,
    example: {
      ...{ type: 'error', ref: 1, code: 'invalid_request', field: 'receiver_id' },
      message: 'receiver_id is missing; it must be a user id.',
    },
  },
  pong: { summary: 'The answer to a ping.', isPush: false, example: { type: 'pong', ref: 6 } },
  authenticated: {
    summary: 'The token that was sent counts from now on.',
    isPush: false,
    example: { type: 'authenticated', ref: 5, expires_at: '2026-01-02T04:04:05.000Z' },
  },
  auth_expiring: {
    summary: 'The token ends soon: send auth with a new one.',
    isPush: true,
    example: { type: 'auth_expiring', in_ms: 60_000 },
  },
  user_changed: {
    summary: 'A watched user is shown otherwise from now on.',
    isPush: true,
    example: { type: 'user_changed', user_id: 'bob', display_name: 'Bob Stone', avatar: `/api/avatars/${ID}` },
  },
}
