import type { Queries } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { type Account, usernameKey } from './account.ts'
import { findAccount, isTaken } from './account-rows.postgres.ts'
import type { Actor } from './audit.ts'
import { writeAudit } from './audit-log.postgres.ts'
import { nameWords } from './profile-rows.postgres.ts'
import type { ProfileChange, ProfileStore } from './profile-store.ts'

const CHANGE_ACCOUNT = `update accounts set updated_at = now(), username = coalesce($2, username),
  username_key = coalesce($3, username_key), discoverable = coalesce($4, discoverable) where user_id = $1 and state <> 2 returning user_id`
const CHANGE_NAME = 'update users set updated_at = now(), display_name = $2 where user_id = $1'

/** Names in `accounts` and `users`, and the words by which people are found. */
export class PostgresProfileStore implements ProfileStore {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  find(userId: UserId): Promise<Account | undefined> {
    return findAccount(this.#queries, userId)
  }

  async change(userId: UserId, change: ProfileChange, actor: Actor): Promise<'done' | 'username_taken'> {
    const { displayName, username, discoverable } = change
    const key = username === undefined ? null : usernameKey(username)
    try {
      await this.#queries.transaction(async (transaction) => {
        const changed = await transaction.query(CHANGE_ACCOUNT, [userId, username ?? null, key, discoverable ?? null])
        // Whose account was deleted meanwhile gets no name back.
        if (changed.length === 0) return
        if (displayName !== undefined) await transaction.query(CHANGE_NAME, [userId, displayName])
        await nameWords(transaction, userId)
        if (username === undefined) return
        writeAudit(transaction, { actor, action: 'username_change', target: userId })
      })
      return 'done'
    } catch (error) {
      if (isTaken(error)) return 'username_taken'
      throw error
    }
  }
}
