import webPush from 'web-push'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { OutboundHttp } from '../outbound/outbound-http.ts'
import { fateOf, type PushFate } from './answer.ts'
import type { Breaker } from './breaker.ts'
import { type HostClass, hostClassOf, type PushHosts } from './hosts.ts'
import type { SharedKeys } from './keys.ts'
import type { PushObserver } from './observer.ts'
import type { Subscription } from './subscription.ts'
import type { VapidHeaders, VapidKey } from './vapid.ts'

export interface PushMessage {
  /** Padded plaintext. */
  readonly payload: Buffer
  /** Seconds for which the push service keeps it. */
  readonly ttlSeconds: number
  readonly urgency: 'low' | 'normal' | 'high'
  /** A newer one of the same topic replaces it while it waits at the push service (RFC 8030, 5.4). */
  readonly topic: string
}

export interface PushDeliveryOptions {
  readonly http: Pick<OutboundHttp, 'send'>
  readonly hosts: PushHosts
  readonly headers: VapidHeaders
  readonly keys: Pick<SharedKeys, 'vapid'>
  readonly breaker: Pick<Breaker, 'answered' | 'closedSeconds'>
  readonly observer: Pick<PushObserver, 'pushAnswered'>
  readonly logger: Logger
}

/** RFC 8291: with its header and the authentication tag a record may have 4,096 bytes. */
const MAX_PLAINTEXT_BYTES = 3_900

/** Encrypts one push for one browser and hands it to its push service. Nothing of either is in the log. */
export class PushDelivery {
  readonly #options: PushDeliveryOptions

  constructor(options: PushDeliveryOptions) {
    this.#options = options
  }

  /** Never rejects. */
  async push(subscription: Subscription, message: PushMessage): Promise<PushFate> {
    const { hosts, keys, breaker, observer } = this.#options
    const url = URL.canParse(subscription.endpoint) ? new URL(subscription.endpoint) : undefined
    const reach = url && hosts.reachOf(url)
    // The list of hosts is another one since.
    if (!url || !reach) return 'bad'
    const key = keys.vapid(subscription.vapidKid)
    // Of the database before a restore, or after one: that says nothing about the subscription, nor about its host.
    if (!key) return 'failed'
    const { fate, retryAfterSeconds } = await this.#ask({ subscription, message, url, reach, key })
    breaker.answered(subscription.host, subscription.userId, fate, retryAfterSeconds)
    observer.pushAnswered(this.#classOf(url), fate)
    return fate
  }

  async #ask({ subscription, message, url, reach, key }: Asking): Promise<Answered> {
    const { http, headers, logger } = this.#options
    const { p256dh, auth } = subscription
    if (message.payload.byteLength > MAX_PLAINTEXT_BYTES) return { fate: 'too_large' }
    try {
      const { cipherText } = webPush.encrypt(p256dh, auth, message.payload, 'aes128gcm')
      const answer = await http.send({
        method: 'POST',
        url,
        reach,
        headers: {
          Authorization: headers.of(url.origin, key),
          'Content-Encoding': 'aes128gcm',
          'Content-Type': 'application/octet-stream',
          TTL: String(message.ttlSeconds),
          Urgency: message.urgency,
          Topic: message.topic,
        },
        body: cipherText,
      })
      const fate = fateOf(answer.status, answer.retryAfterSeconds)
      if (fate !== 'sent' && fate !== 'gone') {
        logger.debug({ host: subscription.host, status: answer.status }, 'a push service did not take a push')
      }
      return { fate, retryAfterSeconds: answer.retryAfterSeconds }
    } catch (error) {
      logger.debug({ host: subscription.host, reason: reasonOf(error) }, 'a push service could not be reached')
      return { fate: 'failed' }
    }
  }

  #classOf(url: URL): HostClass {
    return hostClassOf(url.host)
  }
}

interface Asking {
  readonly subscription: Subscription
  readonly message: PushMessage
  readonly url: URL
  readonly reach: 'public' | 'anywhere'
  readonly key: VapidKey
}

interface Answered {
  readonly fate: PushFate
  readonly retryAfterSeconds?: number | undefined
}
