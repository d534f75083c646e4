import type { DependencyLog } from '../lib/dependency-log.ts'
import { reasonOf } from '../lib/errors.ts'
import { arrayLiteral } from '../postgres/array.ts'
import type { Statement } from '../postgres/statement.ts'
import { sqlStateOf } from '../postgres/statement.ts'
import type { WriterConnection } from '../postgres/writer-connection.ts'
import type { WriterSession } from '../postgres/writer-session.ts'
import type { Conversation } from './conversation.ts'
import { FIND, MEND_SEQUENCE, OPEN, OPEN_FOR_ACCOUNTS } from './statements.postgres.ts'

/** Rows kept: about 150 bytes each. A conversation that is not kept costs its batch one look-up. */
const MAX_KNOWN = 100_000

/** Names the giver of new ids in what is told about PostgreSQL. */
const SEQUENCE = 'the sequence of conversation ids'

/** How often those to be opened are halved in search of the one that is refused. */
const MAX_SPLITS = 32

/** Trying again would not open these conversations; nothing is wrong with the others of the batch. */
export class UnopenedConversations extends Error {
  readonly keys: ReadonlySet<string>

  constructor(keys: ReadonlySet<string>, cause: unknown) {
    super(`new conversations cannot be opened: ${reasonOf(cause)}`, { cause })
    this.name = 'UnopenedConversations'
    this.keys = keys
  }
}

/** These conversations do not exist, and one of their people has no account that is active. */
export class UnknownPeople extends Error {
  readonly keys: ReadonlySet<string>

  constructor(keys: ReadonlySet<string>) {
    super('new conversations with people who have no active account')
    this.name = 'UnknownPeople'
    this.keys = keys
  }
}

/** With whom a conversation may begin. */
export type Beginnings = 'anybody' | 'accounts'

/**
 * Which row each pair of people has. Opening a conversation is a transaction of its own, before the batch's: a row without
 * messages is harmless (count = max(seq) = 0), and so the batch takes its locks by id alone.
 */
export class ConversationIds {
  readonly #health: DependencyLog
  readonly #openStatement: Statement
  readonly #known = new Map<string, number>()

  constructor(connection: Pick<WriterConnection, 'whenLost'>, health: DependencyLog, beginnings: Beginnings) {
    this.#health = health
    this.#openStatement = beginnings === 'accounts' ? OPEN_FOR_ACCOUNTS : OPEN
    // What answers next may be another server, or a restored one, in which the same id is another pair's.
    connection.whenLost(() => this.#known.clear())
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

  /**
   * The ids in the order asked; opens conversations that do not exist yet. Throws UnopenedConversations when the server refuses
   * some, UnknownPeople when some may not begin.
   */
  async learn(session: WriterSession, conversations: readonly Conversation[]): Promise<number[]> {
    await this.#findOrOpen(session, conversations.filter(({ key }) => !this.#known.has(key)).sort(byPair))
    const ids = conversations.map(({ key }) => this.#known.get(key) ?? 0)
    if (this.#known.size > MAX_KNOWN) this.#known.clear()
    return ids
  }

  async #findOrOpen(session: WriterSession, unknown: readonly Conversation[]): Promise<void> {
    await this.#find(session, unknown)
    const missing = unknown.filter(({ key }) => !this.#known.has(key))
    if (missing.length === 0) return
    const refusal = await this.#open(session, missing, { splits: MAX_SPLITS, mends: 1 })
    await this.#find(session, missing)
    const unopened = missing.filter(({ key }) => !this.#known.has(key)).map(({ key }) => key)
    if (unopened.length === 0) return
    const keys = new Set(unopened)
    throw refusal === undefined ? new UnknownPeople(keys) : new UnopenedConversations(keys, refusal)
  }

  /** Opens all that the server takes, and resolves with the reason why it does not take the others. */
  async #open(session: WriterSession, missing: readonly Conversation[], left: Tries): Promise<unknown> {
    try {
      await session.query(this.#openStatement, pairArrays(missing))
      this.#health.works(SEQUENCE)
      return undefined
    } catch (error) {
      if (!isRefusal(error)) throw error
      // The pairs are new, so it is the id that was given before.
      if (sqlStateOf(error) === '23505' && (await this.#mendSequence(session, left)))
        return this.#open(session, missing, left)
      if (missing.length === 1 || left.splits === 0) return error
      left.splits -= 1
      const middle = missing.length >> 1
      const first = await this.#open(session, missing.slice(0, middle), left)
      const second = await this.#open(session, missing.slice(middle), left)
      return first ?? second
    }
  }

  /** A restore can leave the sequence of ids behind the table. True when it was set right, and opening is worth another try. */
  async #mendSequence(session: WriterSession, left: Tries): Promise<boolean> {
    if (left.mends === 0) return false
    left.mends -= 1
    try {
      await session.command(MEND_SEQUENCE)
      this.#health.works(SEQUENCE)
      return true
    } catch (error) {
      this.#health.failed(SEQUENCE, error)
      await session.command('ROLLBACK')
      return false
    }
  }

  async #find(session: WriterSession, conversations: readonly Conversation[]): Promise<void> {
    for (const [ord, id] of await session.query(FIND, pairArrays(conversations))) {
      const conversation = conversations[Number(ord) - 1]
      if (conversation) this.#known.set(conversation.key, Number(id))
    }
  }
}

/** Of one batch. */
interface Tries {
  splits: number
  mends: number
}

/** The server would say the same of another attempt. The classes are those of `failureOf` in the log. */
function isRefusal(error: unknown): boolean {
  return /^(22|23|42|44|54|P0)/.test(sqlStateOf(error) ?? '')
}

function byPair(a: Conversation, b: Conversation): number {
  return a.key < b.key ? -1 : 1
}

function pairArrays(conversations: readonly Conversation[]): string[] {
  return [arrayLiteral(conversations.map(({ lo }) => lo)), arrayLiteral(conversations.map(({ hi }) => hi))]
}
