/**
 * What both relays have in common: they number, reply and push in the shapes of our own wire, with our own encoder, so
 * that only transport and storage differ. They trust their input, and they store nothing.
 */
import { randomUUID } from 'node:crypto'
import { unpack } from 'msgpackr'
import { CODECS, type Frame } from '../../src/protocol/codec.ts'

/** The frames that one `send` command causes. */
export interface RelayFrames {
  readonly receiverId: string
  readonly reply: Frame
  readonly push: Frame
}

interface SendCommand {
  readonly receiver_id: string
  readonly content: string
  readonly ref?: string | number
}

const lastSeqs = new Map<string, number>()

export function welcomeFrame(userId: string, isBinary: boolean): Frame {
  const limits = { protocol: 1, max_content_bytes: 16_384, heartbeat_seconds: 30 } as const
  const welcome = {
    type: 'welcome',
    user_id: userId,
    connection_id: '',
    server_time: currentTime(),
    ...limits,
  } as const
  return codecOf(isBinary).encode(welcome)
}

export function relayFrames(senderId: string, bytes: Buffer, isBinary: boolean): RelayFrames {
  const command: SendCommand = isBinary ? unpack(bytes) : JSON.parse(bytes.toString())
  const { receiver_id, content, ref } = command
  const stored = { id: randomUUID(), seq: nextSeq(senderId, receiver_id), created_at: currentTime() }
  const codec = codecOf(isBinary)
  return {
    receiverId: receiver_id,
    reply: codec.encode({ type: 'sent', ref, with: receiver_id, duplicate: false, ...stored }),
    push: codec.encode({ type: 'message', sender_id: senderId, receiver_id, content, ...stored }),
  }
}

function codecOf(isBinary: boolean): (typeof CODECS)['json' | 'msgpack'] {
  return isBinary ? CODECS.msgpack : CODECS.json
}

let clock = { atMs: 0, text: '' }

/** Written out once a millisecond, as a service that stamps whole batches would. */
function currentTime(): string {
  const now = Date.now()
  if (now !== clock.atMs) clock = { atMs: now, text: new Date(now).toISOString() }
  return clock.text
}

function nextSeq(one: string, other: string): number {
  const conversation = one < other ? `${one} ${other}` : `${other} ${one}`
  const seq = (lastSeqs.get(conversation) ?? 0) + 1
  lastSeqs.set(conversation, seq)
  return seq
}

/** Tells the bench where to connect, in the words of the service's own log line. */
export function announce(port: number): void {
  process.stdout.write(`${JSON.stringify({ msg: 'listening', port })}\n`)
}
