import { createECDH, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { encodeJson } from '../lib/base64url.ts'
import type { TimeOfDay } from '../lib/clock.ts'
import { dropOldest } from '../lib/drop-oldest.ts'

/** A pair of keys by which push services know this server (RFC 8292). */
export interface VapidKey {
  readonly kid: string
  /** base64url of the 65 bytes of an uncompressed point: what browsers and push services are given. */
  readonly publicKey: string
  readonly privateKey: KeyObject
}

/** How long a header is good for, and how long it is used: push services want few different ones (Apple: one an hour at most). */
const LIFETIME_MS = 12 * 60 * 60_000
const USED_FOR_MS = 6 * 60 * 60_000
/** Suffixes such as that of Windows have many hosts below them. */
const MAX_HEADERS = 1_000

/** The private half, as it is kept: 32 bytes. */
export function newPrivateScalar(): Buffer {
  const curve = createECDH('prime256v1')
  curve.generateKeys()
  const scalar = curve.getPrivateKey()
  // Leading zeros are left out there.
  return Buffer.concat([Buffer.alloc(32 - scalar.length), scalar])
}

export function vapidKeyOf(kid: string, scalar: Buffer): VapidKey {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(scalar)
  const point = curve.getPublicKey()
  const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')]
  const privateKey = createPrivateKey({
    format: 'jwk',
    key: { kty: 'EC', crv: 'P-256', x, y, d: scalar.toString('base64url') },
  })
  return { kid, publicKey: point.toString('base64url'), privateKey }
}

/** `Authorization` headers, one for each push service and key: a signature costs twice what the rest of a push does. */
export class VapidHeaders {
  readonly #subject: string
  readonly #time: TimeOfDay
  readonly #headers = new Map<string, { readonly text: string; readonly madeMs: number }>()

  /**
   * `subject`: whom a push service writes to when something is wrong, https: or mailto:. `time`: of the world outside, by which a
   * header ends.
   */
  constructor(subject: string, time: TimeOfDay) {
    this.#subject = subject
    this.#time = time
  }

  of(origin: string, key: VapidKey): string {
    const name = `${key.kid} ${origin}`
    const known = this.#headers.get(name)
    const now = this.#time.epochMs()
    if (known && now - known.madeMs < USED_FOR_MS) return known.text
    const text = this.#make(origin, key, now)
    this.#headers.delete(name)
    this.#headers.set(name, { text, madeMs: now })
    dropOldest(this.#headers, MAX_HEADERS)
    return text
  }

  #make(origin: string, { privateKey, publicKey }: VapidKey, nowMs: number): string {
    const claims = { aud: origin, exp: Math.floor((nowMs + LIFETIME_MS) / 1000), sub: this.#subject }
    const signed = `${encodeJson({ typ: 'JWT', alg: 'ES256' })}.${encodeJson(claims)}`
    const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return `vapid t=${signed}.${signature.toString('base64url')}, k=${publicKey}`
  }
}

/**
 * Why a subject would be refused, to complete "PUSH_SUBJECT …"; undefined for a good one. Apple alone refuses names that are
 * not public (403 BadJwtToken), so such a subject would seem to work.
 */
export function subjectFault(subject: string): string | undefined {
  if (!URL.canParse(subject)) return NO_SUBJECT
  const { protocol, hostname, pathname } = new URL(subject)
  if (protocol === 'https:') return isPublicDomain(hostname) ? undefined : NO_SUBJECT
  const [, domain] = /^[^@\s]+@([^@\s]+)$/.exec(pathname) ?? []
  return protocol === 'mailto:' && domain !== undefined && isPublicDomain(domain) ? undefined : NO_SUBJECT
}

const NO_SUBJECT = 'must be an https: or mailto: address with a public domain'

/** Names that no public server has. Source: RFC 2606, RFC 6761, RFC 6762, RFC 8375. */
const INNER_DOMAINS = /(^|\.)(localhost|local|test|example|invalid|internal|lan|home|corp|onion|home\.arpa)$/i

function isPublicDomain(host: string): boolean {
  // A label of letters at the end: no IP address has one.
  return /^([a-z0-9-]+\.)+[a-z][a-z0-9-]*[a-z0-9]$/i.test(host) && !INNER_DOMAINS.test(host)
}
