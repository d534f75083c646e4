import type { Queries } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { type Describer, normalizedWord, type User, type UserDescription, type UserDirectory } from '../users/user.ts'
import { usernameKey } from './account.ts'
import { ACCOUNT_COLUMNS, type AccountRow, holdAccount, toAccount } from './account-rows.postgres.ts'
import { writeAudit } from './audit-log.postgres.ts'
import { nameWords } from './profile-rows.postgres.ts'

const OF_PEOPLE = `select ${ACCOUNT_COLUMNS} from accounts a left join users u using (user_id)`
const FIND = `${OF_PEOPLE} where a.user_id = any($1) and a.state <> 2`
const NAMED = `${OF_PEOPLE} where a.username_key = $1 and a.state <> 2`
/** U+10FFFF sorts behind every word of that beginning. */
const SEARCH = `${OF_PEOPLE} where a.state = 0 and a.discoverable and a.user_id in
    (select user_id from user_words where word >= $1 and word < $1 || U&'\\+10FFFF')
  order by a.username_key limit $2`
/** $2 and $4: whether the field before is to change. */
const DESCRIBE = `update users set updated_at = now(),
    display_name = case when $3 then $2 else display_name end,
    avatar_url = case when $5 then $4 else avatar_url end,
    avatar_id = case when $5 then null else avatar_id end
  where user_id = $1`
/** Behind the row of the person, in whose order pictures change. */
const REMOVE_PICTURE = 'delete from avatars where user_id = $1'

/** With built-in accounts people are those who have one. A suspended person is still shown, and not found by a search. */
export class PostgresAccountDirectory implements UserDirectory {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async find(userIds: readonly UserId[]): Promise<User[]> {
    const rows = await this.#queries.query<AccountRow>(FIND, [[...new Set(userIds)]])
    const known = new Map(rows.map((row) => [row.user_id, toUser(row)]))
    return userIds.flatMap((userId) => known.get(userId) ?? [])
  }

  async named(username: string): Promise<User | undefined> {
    const [row] = await this.#queries.query<AccountRow>(NAMED, [usernameKey(username)])
    return row && toUser(row)
  }

  async search(prefix: string, limit: number): Promise<User[]> {
    return (await this.#queries.query<AccountRow>(SEARCH, [normalizedWord(prefix), limit])).map(toUser)
  }

  async describe(
    userId: UserId,
    { displayName, avatarUrl }: UserDescription,
    by?: Describer,
  ): Promise<User | undefined> {
    const values = [userId, displayName ?? null, displayName !== undefined, avatarUrl ?? null, avatarUrl !== undefined]
    await this.#queries.transaction(async (transaction) => {
      if (!(await holdAccount(transaction, userId))) return
      await transaction.query(DESCRIBE, values)
      if (avatarUrl !== undefined) await transaction.query(REMOVE_PICTURE, [userId])
      await nameWords(transaction, userId)
      if (by) writeAudit(transaction, { actor: by, action: 'describe', target: userId })
    })
    return (await this.find([userId]))[0]
  }
}

function toUser(row: AccountRow): User {
  const { userId, username, displayName, avatarUrl } = toAccount(row)
  return { userId, username, displayName, avatarUrl }
}
