import type { Logger } from '../lib/logger.ts'
import type { UserId } from '../protocol/message.ts'
import type { Breaker } from './breaker.ts'
import type { PushDelivery } from './delivery.ts'
import type { PushHosts } from './hosts.ts'
import type { SharedKeys } from './keys.ts'
import { servicePayload } from './payload.ts'
import type { Subscribers } from './subscribers.ts'
import { areKeys, type Declaration, type Subscription, type SubscriptionStore } from './subscription.ts'

export interface PushServiceOptions {
  readonly store: SubscriptionStore
  readonly subscribers: Pick<Subscribers, 'add'>
  readonly hosts: PushHosts
  readonly delivery: Pick<PushDelivery, 'push'>
  readonly breaker: Pick<Breaker, 'closedSeconds'>
  readonly keys: Pick<SharedKeys, 'current'>
  readonly pageUrl: string
  readonly logger: Logger
}

/** A field of a declaration that is not taken, and what is wrong with it in words that complete its name. */
export interface DeclarationFault {
  readonly field: 'endpoint' | 'keys'
  readonly fault: string
}

/** Seconds: a test that comes later than this tells nothing; a question may wait for a device that is off. */
const TEST_TTL_SECONDS = 60
const QUESTION_TTL_SECONDS = 7 * 24 * 60 * 60

/** What a page may ask of push. Everything but `publicKey` rejects when the database refuses or is away. */
export class PushService {
  readonly #options: PushServiceOptions

  constructor(options: PushServiceOptions) {
    this.#options = options
  }

  /** What a browser subscribes with, as base64url. */
  get publicKey(): string {
    return this.#options.keys.current.vapid.publicKey
  }

  /** Takes the whole state of one browser, as often as its page likes. Resolves with why it is not taken. */
  async declare(declaration: Declaration): Promise<DeclarationFault | undefined> {
    const { store, subscribers, hosts, keys } = this.#options
    const { endpoint } = declaration.subscription
    const fault = hosts.faultOf(endpoint)
    if (fault !== undefined) return { field: 'endpoint', fault }
    if (!areKeys(declaration.subscription)) return { field: 'keys', fault: NO_KEYS }
    await store.put(declaration, keys.current.vapid.kid)
    subscribers.add(declaration.userId)
    return undefined
  }

  async remove(userId: UserId, endpoint: string): Promise<void> {
    await this.#options.store.remove(userId, endpoint)
  }

  /** Sends a notification to every browser of this user whose push service works, at most once in ten seconds. */
  async test(userId: UserId): Promise<'sent' | 'none' | 'wait'> {
    const taken = await this.#options.store.takeForTest(userId)
    if (taken === 'wait') return 'wait'
    if (taken.length === 0) return 'none'
    await this.#tell(taken, 'test', TEST_TTL_SECONDS)
    return 'sent'
  }

  /** Forgets subscriptions that ended, and asks those that were silent for two months whether somebody is still there. */
  async cleanUp(): Promise<void> {
    await this.#tell(await this.#options.store.cleanUp(), 'stillThere', QUESTION_TTL_SECONDS)
  }

  async #tell(subscriptions: readonly Subscription[], kind: 'test' | 'stillThere', ttlSeconds: number): Promise<void> {
    const { delivery, breaker, store, pageUrl } = this.#options
    const asked = subscriptions.filter(({ host }) => breaker.closedSeconds(host) === 0)
    const fates = await Promise.all(
      asked.map((subscription) => {
        const payload = servicePayload(kind, subscription.locale, pageUrl)
        return delivery.push(subscription, { payload, ttlSeconds, urgency: 'normal', topic: kind })
      }),
    )
    const gone = asked.filter((_, index) => fates[index] === 'gone')
    await store.note(gone.map(({ id }) => ({ id, kind: 'gone' })))
  }
}

const NO_KEYS = 'must be p256dh, a P-256 point of 65 bytes, and auth, 16 bytes, both as base64url'
