/**
 * What the relays have in common: they number, reply and push in the shapes of our own wire, with our own encoder, so
 * that only transport and storage differ. They trust their input.
 */
import { randomUUID } from 'node:crypto'
import { unpack } from 'msgpackr'
import { CODECS } from '../../src/gateway/wire/codec.ts'
import type { MessagePush, Sent, ServerEvent } from '../../src/protocol/events.ts'

/** What one `send` command causes. */
export interface RelayEvents {
  readonly receiverId: string
  readonly sent: Sent
  readonly message: MessagePush
  /** Number of the conversation, for who stores it. */
  readonly conversationId: number
}

type Payload = string | Buffer

/** The same, encoded. */
export interface RelayFrames {
  readonly receiverId: string
  readonly reply: Payload
  readonly push: Payload
}

export interface SendCommand {
  readonly receiver_id: string
  readonly content: string
  readonly ref?: string | number
}

interface Conversation {
  readonly id: number
  lastSeq: number
}

const conversations = new Map<string, Conversation>()

export function welcomeFrame(userId: string, isBinary: boolean): Payload {
  const limits = { protocol: 1, max_content_bytes: 16_384, heartbeat_seconds: 30 } as const
  const welcome = {
    type: 'welcome',
    epoch: '',
    user_id: userId,
    connection_id: '',
    server_time: currentTime(),
    ...limits,
  } as const
  return encoded(welcome, isBinary)
}

export function decodeCommand(bytes: Buffer, isBinary: boolean): SendCommand {
  return isBinary ? unpack(bytes) : JSON.parse(bytes.toString())
}

export function relayEvents(senderId: string, { receiver_id, content, ref }: SendCommand): RelayEvents {
  const conversation = conversationOf(senderId, receiver_id)
  const stored = { id: randomUUID(), seq: ++conversation.lastSeq, created_at: currentTime() }
  return {
    receiverId: receiver_id,
    sent: { type: 'sent', ref, with: receiver_id, duplicate: false, ...stored },
    message: { type: 'message', sender_id: senderId, receiver_id, content, ...stored },
    conversationId: conversation.id,
  }
}

export function relayFrames({ receiverId, sent, message }: RelayEvents, isBinary: boolean): RelayFrames {
  return { receiverId, reply: encoded(sent, isBinary), push: encoded(message, isBinary) }
}

function encoded(event: ServerEvent, isBinary: boolean): Payload {
  return isBinary ? Buffer.from(CODECS.msgpack.encode(event), 'latin1') : CODECS.json.encode(event)
}

let clock = { atMs: 0, text: '' }

/** Written out once a millisecond, as a service that stamps whole batches would. */
function currentTime(): string {
  const now = Date.now()
  if (now !== clock.atMs) clock = { atMs: now, text: new Date(now).toISOString() }
  return clock.text
}

function conversationOf(one: string, other: string): Conversation {
  const key = one < other ? `${one} ${other}` : `${other} ${one}`
  const known = conversations.get(key)
  if (known !== undefined) return known
  const conversation = { id: conversations.size + 1, lastSeq: 0 }
  conversations.set(key, conversation)
  return conversation
}

/** Tells the bench where to connect, in the words of the service's own log line. */
export function announce(port: number): void {
  process.stdout.write(`${JSON.stringify({ msg: 'listening', port })}\n`)
}
