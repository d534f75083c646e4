import { arrayLiteral } from '../postgres/array.ts'
import type { Session } from '../postgres/session.ts'
import type { Conversation } from './conversation.ts'
import { FIND, OPEN } from './statements.postgres.ts'

/** Rows kept: about 150 bytes each. A conversation that is not kept costs its batch one look-up. */
const MAX_KNOWN = 100_000

/**
 * Which row each pair of people has. Opening a conversation is a transaction of its own, before the batch's: a row without
 * messages is harmless (count = max(seq) = 0), and so the batch takes its locks by id alone.
 */
export class ConversationIds {
  readonly #session: Session
  readonly #known = new Map<string, number>()

  constructor(session: Session) {
    this.#session = session
    // What answers next may be another server, or a restored one, in which the same id is another pair's.
    session.whenLost(() => this.#known.clear())
  }

  /** The ids in the order asked, when all are known: without waiting, as a commit then need not either. */
  known(conversations: readonly Conversation[]): number[] | undefined {
    const ids: number[] = []
    for (const { key } of conversations) {
      const id = this.#known.get(key)
      if (id === undefined) return undefined
      ids.push(id)
    }
    return ids
  }

  /** The ids in the order asked; opens conversations that do not exist yet. */
  async learn(conversations: readonly Conversation[]): Promise<number[]> {
    await this.#findOrOpen(conversations.filter(({ key }) => !this.#known.has(key)).sort(byPair))
    const ids = conversations.map(({ key }) => this.#known.get(key) ?? 0)
    if (this.#known.size > MAX_KNOWN) this.#known.clear()
    return ids
  }

  async #findOrOpen(unknown: readonly Conversation[]): Promise<void> {
    await this.#find(unknown)
    const missing = unknown.filter(({ key }) => !this.#known.has(key))
    if (missing.length === 0) return
    await this.#session.query(OPEN, pairArrays(missing))
    await this.#find(missing)
  }

  async #find(conversations: readonly Conversation[]): Promise<void> {
    for (const [ord, id] of await this.#session.query(FIND, pairArrays(conversations))) {
      const conversation = conversations[Number(ord) - 1]
      if (conversation) this.#known.set(conversation.key, Number(id))
    }
  }
}

function byPair(a: Conversation, b: Conversation): number {
  return a.key < b.key ? -1 : 1
}

function pairArrays(conversations: readonly Conversation[]): string[] {
  return [arrayLiteral(conversations.map(({ lo }) => lo)), arrayLiteral(conversations.map(({ hi }) => hi))]
}
