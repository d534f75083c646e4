import type { UserId } from '../protocol/message.ts'
import { type Attention, type Audience, attentionHere, type Watchers } from './audience.ts'

/** Of an instance that is alone. */
export class LocalAudience implements Audience {
  readonly #watchers: Watchers

  constructor(watchers: Watchers) {
    this.#watchers = watchers
  }

  changed(): void {
    // Nobody else needs to know.
  }

  async of(userIds: readonly UserId[]): Promise<Attention[]> {
    return userIds.map((userId) => attentionHere(this.#watchers, userId))
  }
}
