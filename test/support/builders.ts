import { randomUUID } from 'node:crypto'
import type { Envelope } from '../../src/delivery/broker.ts'
import { Guard } from '../../src/gateway/guard.ts'
import { conversationBetween } from '../../src/messages/conversation.ts'
import type { QueuedSend } from '../../src/messages/send-queue.ts'
import type { PendingMessage, PositionChange } from '../../src/messages/store.ts'

let people = 0

/** As long as a UUID, as most user ids are: a short text is treated otherwise by the engine than one of this length. */
export const longUserId = (prefix: string, number: number): string =>
  prefix + String(number).padStart(36 - prefix.length, '0')

/** User ids that no other test of this process has used. */
export function strangers(): [string, string] {
  people += 1
  return [longUserId('a', people), longUserId('b', people)]
}

export function pendingMessage(from: string, to: string, content = 'hi', id: string = randomUUID()): PendingMessage {
  return {
    conversation: conversationBetween(from, to),
    id,
    sender_id: from,
    receiver_id: to,
    content,
    seq: 0,
    created_at: '',
    fate: 'pending',
  }
}

export interface SendOptions {
  readonly from?: string
  readonly to?: string
  readonly content?: string
  readonly id?: string
  readonly ref?: string
  readonly queuedAtMs?: number
}

export function queuedSend({
  from = 'ann',
  to = 'bob',
  content,
  id,
  ref,
  queuedAtMs = 0,
}: SendOptions = {}): QueuedSend {
  const asker = { settled: () => undefined }
  return {
    ...pendingMessage(from, to, content, id),
    asker,
    ref,
    queuedAtMs,
    refusal: undefined,
    wasUnknown: false,
  }
}

export function positionChange(
  user: string,
  other: string,
  { delivered = 0, read = 0 }: { delivered?: number; read?: number },
  movedBy?: object,
): PositionChange {
  return { conversation: conversationBetween(user, other), user, delivered, read, movedBy }
}

/** For tests that are not about limits. */
export function unlimitedGuard(): Guard {
  const limits = {
    userCommandsPerSecond: 0,
    addressRequestsPerSecond: 0,
    upgradesPerSecond: 0,
    addressRefusalsPerSecond: 0,
    maxConnections: Number.POSITIVE_INFINITY,
    maxConnectionsPerAddress: Number.POSITIVE_INFINITY,
  }
  return new Guard(limits, { now: () => 0 })
}

/** What an instance tells another: an event with this text. */
export function envelope(text: string): Envelope {
  return { json: JSON.stringify({ text }) }
}

export function textOf({ json }: Envelope): string {
  return JSON.parse(json).text
}
