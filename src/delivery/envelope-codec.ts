import { ownText } from '../lib/own-text.ts'
import type { Envelope } from './broker.ts'

/**
 * Envelopes of one user as one text, a line each after the publisher's name and epoch: `seq sender receiver json` for a message,
 * `= json` for other events. JSON frames hold no line break and ids hold no space, so nothing needs escaping, and a receiver
 * passes the frame on without parsing it.
 */
export function encodeEnvelopes(instanceId: string, envelopes: readonly Envelope[], epoch = ''): string {
  let text = epoch === '' ? instanceId : `${instanceId} ${epoch}`
  for (const { message, json } of envelopes) {
    if (message) text += `\n${message.seq} ${message.sender_id} ${message.receiver_id} ${json}`
    else text += `\n= ${json}`
  }
  return text
}

/** Undefined when this instance itself published the text. Lines of a later version, and what can be no frame, are left out. */
export function decodeEnvelopes(ownInstanceId: string, text: string): Envelope[] | undefined {
  if (text.startsWith(ownInstanceId) && /[ \n]/.test(text[ownInstanceId.length] ?? '')) return undefined
  const lines = text.split('\n')
  const envelopes: Envelope[] = []
  for (let index = 1; index < lines.length; index += 1) {
    const envelope = decodeLine(lines[index] ?? '')
    if (envelope) envelopes.push(envelope)
  }
  return envelopes
}

/** The epoch that the publisher knew; undefined when it is of a version that does not say. */
export function epochOf(text: string): string | undefined {
  const head = text.slice(0, text.indexOf('\n'))
  const space = head.indexOf(' ')
  return space < 0 ? undefined : head.slice(space + 1)
}

/** A number that can be counted on from. */
const MESSAGE_LINE = /^(\d{1,15}) ([^ ]+) ([^ ]+) (?=\{)/

function decodeLine(line: string): Envelope | undefined {
  // Cut off or something else. Whether all of it is JSON only those notice who have to read it, see `EncodedEvent`.
  if (!line.endsWith('}')) return undefined
  if (line.startsWith('= {')) return { json: line.slice(2) }
  const head = MESSAGE_LINE.exec(line)
  if (!head) return undefined
  const [whole, seq, sender_id = '', receiver_id = ''] = head
  // Conversations are remembered by these two, for far longer than a batch of frames may be kept.
  const place = { seq: Number(seq), sender_id: ownText(sender_id), receiver_id: ownText(receiver_id) }
  return { message: place, json: line.slice(whole.length) }
}
