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
const BEHIND = 'select user_id from accounts where gate_side is not null order by user_id'

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

  /** Of everybody whose change was left in the middle. */
  async finishAll(): Promise<void> {
    const people = await this.#queries.query<{ user_id: string }>(BEHIND)
    for (const { user_id } of people) await this.finish(user_id)
  }
}
