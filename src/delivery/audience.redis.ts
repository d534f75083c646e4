import { chunks } from '../lib/chunks.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { UserId } from '../protocol/message.ts'
import type { Publisher } from '../redis/publisher.ts'
import type { ChannelSubscriptions } from '../redis/subscriptions.ts'
import { type Attention, type Audience, attentionHere, type Watchers } from './audience.ts'

export interface RedisAudienceOptions {
  readonly watchers: Watchers
  readonly publisher: Publisher
  readonly subscriptions: ChannelSubscriptions
  readonly prefix: string
  /** Told while Redis refuses to say who subscribed. */
  readonly health: DependencyLog
  /** False while subscriptions of the others may be missing. */
  isConnected(): boolean
}

const USERS_PER_CALL = 500
const ASKING = 'asking who is connected'

/**
 * Redis' own table of subscribers tells: every instance with a connection of a user is subscribed to the user's channel, and while
 * all of its connections of the user say that nobody looks, to a second one. So nothing is written, and nothing of a killed instance is
 * left behind.
 */
export class RedisAudience implements Audience {
  readonly #options: RedisAudienceOptions
  readonly #away = new Set<UserId>()

  constructor(options: RedisAudienceOptions) {
    this.#options = options
  }

  changed(userId: UserId): void {
    const { watchers, subscriptions } = this.#options
    const isAway = attentionHere(watchers, userId) === 'away'
    if (isAway === this.#away.has(userId)) return
    if (isAway) {
      this.#away.add(userId)
      void subscriptions.add(this.#awayChannel(userId))
    } else {
      this.#away.delete(userId)
      subscriptions.remove(this.#awayChannel(userId))
    }
  }

  async of(userIds: readonly UserId[]): Promise<Attention[]> {
    const here = userIds.map((userId) => attentionHere(this.#options.watchers, userId))
    const asked = [...new Set(userIds.filter((_, index) => here[index] !== 'looking'))]
    const found = new Map<UserId, Attention>()
    for (const users of chunks(asked, USERS_PER_CALL)) {
      for (const [userId, attention] of await this.#ask(users)) found.set(userId, attention)
    }
    return userIds.map((userId, index) => (here[index] === 'looking' ? 'looking' : (found.get(userId) ?? 'unknown')))
  }

  async #ask(userIds: readonly UserId[]): Promise<[UserId, Attention][]> {
    const { publisher, prefix, health } = this.#options
    if (!this.#options.isConnected()) return []
    try {
      const channels = userIds.flatMap((userId) => [`${prefix}user:${userId}`, this.#awayChannel(userId)])
      const counts = await publisher.subscribers(channels)
      health.works(ASKING)
      return userIds.map((userId, index) => [
        userId,
        attentionOf({ connected: counts[index * 2] ?? 0, away: counts[index * 2 + 1] ?? 0 }),
      ])
    } catch (error) {
      health.failed(ASKING, error)
      return []
    }
  }

  #awayChannel(userId: UserId): string {
    return `${this.#options.prefix}away:${userId}`
  }
}

/** How many instances are subscribed to each. */
function attentionOf({ connected, away }: { connected: number; away: number }): Attention {
  if (connected === 0) return 'nobody'
  return away >= connected ? 'away' : 'looking'
}
