import { reasonOf } from '../lib/errors.ts'
import type { Queries, Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'

/** As `messages/gate.postgres.ts` has it. */
interface GatePlace {
  readonly side: 'lower' | 'higher'
  readonly after: UserId
}

/** What an account's end does to the conversations of its person: some of them in each transaction. */
export interface ConversationGate {
  /** Returns from where to go on; undefined at the end. */
  move(
    transaction: Queryable,
    userId: UserId,
    move: { readonly isOpen: boolean; readonly from: GatePlace; readonly limit: number },
  ): Promise<GatePlace | undefined>
}

/** Whoever sends in one of these conversations waits meanwhile, and so does the whole batch of their instance. */
export const GATE_SLICE = 5_000

/** What an update of `accounts` sets beside a state: all conversations of the person are behind it. */
export const ALL_BEHIND = `gate_side = 'lower', gate_after = ''`
/** By the row alone: whoever changes the state meanwhile begins anew, and whoever helps goes on where the other ended. */
const PLACE = `select state, gate_side, gate_after from accounts where user_id = $1 and gate_side is not null for no key update`
const KEEP = 'update accounts set gate_side = $2, gate_after = $3 where user_id = $1'
const NEXT_BEHIND = `select user_id from accounts where gate_side is not null and ($1::text is null or user_id > $1)
  order by user_id limit 1`

/** Gates of conversations, which follow the states of accounts. What is left undone is in the database, for whoever comes next. */
export class GateSteps {
  readonly #queries: Queries
  readonly #gate: ConversationGate
  readonly #limit: number

  constructor(queries: Queries, gate: ConversationGate, limit = GATE_SLICE) {
    this.#queries = queries
    this.#gate = gate
    this.#limit = limit
  }

  /** Brings some conversations in step with the account, in this transaction. Whether there are more. */
  async step(transaction: Queryable, userId: UserId): Promise<boolean> {
    type Row = { state: number; gate_side: GatePlace['side']; gate_after: string }
    const [row] = await transaction.query<Row>(PLACE, [userId])
    if (!row) return false
    const from = { side: row.gate_side, after: row.gate_after }
    const next = await this.#gate.move(transaction, userId, { isOpen: row.state === 0, from, limit: this.#limit })
    await transaction.query(KEEP, [userId, next?.side ?? null, next?.after ?? null])
    return next !== undefined
  }

  /** The rest of them, each some in a transaction of its own. */
  async finish(userId: UserId): Promise<void> {
    let isBehind = true
    while (isBehind) isBehind = await this.#queries.transaction((transaction) => this.step(transaction, userId))
  }

  /**
   * Of everybody whose change was left in the middle. Whoever fails holds up nobody behind them; a database that answers nothing at
   * all also fails to say who is next, and that ends it. Rejects at the end when somebody failed.
   */
  async finishAll(): Promise<void> {
    let failures = 0
    let first: { readonly userId: UserId; readonly error: unknown } | undefined
    let userId = await this.#nextBehind(null)
    while (userId !== undefined) {
      const current = userId
      await this.finish(current).catch((error: unknown) => {
        failures += 1
        first ??= { userId: current, error }
      })
      userId = await this.#nextBehind(current)
    }
    if (!first) return
    const reason = `${failures} people could not be followed, such as ${first.userId}: ${reasonOf(first.error)}`
    throw new Error(reason, { cause: first.error })
  }

  async #nextBehind(after: UserId | null): Promise<UserId | undefined> {
    const [next] = await this.#queries.query<{ user_id: string }>(NEXT_BEHIND, [after])
    return next?.user_id
  }
}
