import type { PushContent } from './subscription.ts'
import { countText, textsOf } from './texts.ts'

/** What there is to say of a conversation at the moment in which it is said. */
export interface Unread {
  /** The other person of the conversation. */
  readonly peer: string
  readonly peerName: string
  /** Unread messages of theirs, counted up to 100. */
  readonly count: number
  /** The text of the newest. */
  readonly text: string
  readonly seq: number
  /** Conversations of this user with something unread that was pushed, this one among them. */
  readonly badge: number
}

/** Of whom a notification is. */
export interface Reader {
  readonly content: PushContent
  readonly locale: string | undefined
}

export interface PayloadPlace {
  /** The user who is told: a browser may be that of several people. */
  readonly of: string
  /** Names the conversation to the browser and to the push service, and tells neither which it is. */
  readonly tag: string
  /** Where the page is; without a slash at the end. */
  readonly pageUrl: string
}

/** All payloads have one of these sizes, so that their length tells nothing; the larger is below what RFC 8291 allows. */
const PADDED_BYTES = [1_024, 3_072] as const
/** Bytes of UTF-8 of a message that are shown; a notification shows fewer. */
const MAX_TEXT_BYTES = 1_500

/** A notification about unread messages, padded. */
export function notifyPayload(unread: Unread, { content, locale }: Reader, place: PayloadPlace): Buffer {
  const texts = textsOf(locale)
  const counted = countText(unread.count, texts)
  const isNamed = content !== 'none'
  const title = isNamed ? unread.peerName : texts.unnamed
  const { of, tag, pageUrl } = place
  // People are named to the worker only where the sender may be: the payload is what a device may show.
  const named = isNamed ? { with: unread.peer } : {}
  const navigate = isNamed ? `${pageUrl}/c/${encodeURIComponent(unread.peer)}` : `${pageUrl}/`
  return fitted((maxBytes) => {
    const text = content === 'full' ? cut(unread.text, maxBytes) : ''
    const body = text !== '' ? text : isNamed || unread.count > 1 ? counted : ''
    const data = { kind: 'notify', ...named, seq: unread.seq, count: unread.count }
    const shown = { title, body, navigate, tag, locale, data: { ...data, ...(isNamed && { of }) } }
    return declarative(shown, unread.badge, data)
  })
}

/** Takes a notification away that was shown. */
export function clearPayload({ tag }: Pick<PayloadPlace, 'tag'>, badge: number): Buffer {
  return padded(JSON.stringify({ kind: 'clear', tag, badge }))
}

/** Of the service itself: that notifications work, or whether somebody is still there. */
export function servicePayload(kind: 'test' | 'stillThere', locale: string | undefined, pageUrl: string): Buffer {
  const title = textsOf(locale)[kind]
  return padded(declarative({ title, body: '', navigate: `${pageUrl}/`, tag: kind, locale }, undefined, { kind }))
}

interface Shown {
  readonly title: string
  readonly body: string
  readonly navigate: string
  readonly tag: string
  readonly locale: string | undefined
  /** Stays with the notification. */
  readonly data?: object
}

/**
 * Declarative Web Push (WebKit 18.4 and newer): shown even where the service worker fails, and then without a penalty. Our
 * own fields stand beside it for a worker that shows it, and within it where the browser does. Source: https://webkit.org/blog/16535/meet-declarative-web-push/
 */
function declarative({ locale, data, ...shown }: Shown, badge: number | undefined, fields: object): string {
  return JSON.stringify({
    web_push: 8030,
    notification: { ...shown, ...(locale !== undefined && { lang: locale }), ...(data && { data }) },
    ...(badge !== undefined && { app_badge: badge }),
    ...fields,
  })
}

/** With as much of the text as fits: JSON may take six bytes for one character. */
function fitted(make: (maxTextBytes: number) => string): Buffer {
  let maxBytes = MAX_TEXT_BYTES
  let text = make(maxBytes)
  while (Buffer.byteLength(text) > PADDED_BYTES[1] && maxBytes > 0) {
    maxBytes = Math.floor(maxBytes / 2)
    text = make(maxBytes)
  }
  return padded(text)
}

/** White space behind a JSON text means nothing. */
function padded(text: string): Buffer {
  const bytes = Buffer.from(text)
  const size = PADDED_BYTES.find((one) => one >= bytes.byteLength)
  if (size === undefined) throw new Error(`a payload of ${bytes.byteLength} bytes cannot be sent`)
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.byteLength, ' ')])
}

/** The beginning of a text, in whole code points. */
function cut(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text
  const ellipsis = '…'
  const room = maxBytes - Buffer.byteLength(ellipsis)
  let bytes = 0
  let shown = ''
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > room) break
    shown += character
  }
  return shown === '' ? '' : shown + ellipsis
}
