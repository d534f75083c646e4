import type { Queries, Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { normalizedWord, searchWords, type User, type UserDescription, type UserDirectory } from './user.ts'

interface Row {
  readonly user_id: string
  readonly display_name: string | null
  readonly avatar: string | null
}

const COLUMNS = `u.user_id, u.display_name, coalesce('/api/avatars/' || u.avatar_id, u.avatar_url) as avatar`
const FIND = `select ${COLUMNS} from users u where user_id = any($1)`
/** A range of the key; U+10FFFF sorts behind every word of that beginning, as the column's order is that of code points. */
const SEARCH = `select ${COLUMNS}
  from (select distinct user_id from user_words where word >= $1 and word < $1 || U&'\\+10FFFF' order by user_id limit $2) w
  join users u using (user_id) order by u.user_id`
/** $3 and $5: whether the field before is to change. */
const DESCRIBE = `insert into users as u (user_id, display_name, avatar_url) values ($1, $2, $4)
  on conflict (user_id) do update set updated_at = now(),
    display_name = case when $3 then excluded.display_name else u.display_name end,
    avatar_url = case when $5 then excluded.avatar_url else u.avatar_url end,
    avatar_id = case when $5 then null else u.avatar_id end
  returning ${COLUMNS}`
/** Behind the row of the person, in whose order pictures change. */
const REMOVE_PICTURE = 'delete from avatars where user_id = $1'
const FORGET_WORDS = 'delete from user_words where user_id = $1'
const ADD_WORDS = 'insert into user_words (word, user_id) select word, $1 from unnest($2::text[]) word'

/** People in the table `users`, found by the words in `user_words`. */
export class PostgresUserDirectory implements UserDirectory {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async find(userIds: readonly UserId[]): Promise<User[]> {
    const rows = await this.#queries.query<Row>(FIND, [[...new Set(userIds)]])
    const described = new Map(rows.map((row) => [row.user_id, toUser(row)]))
    return userIds.map((userId) => described.get(userId) ?? undescribed(userId))
  }

  async named(): Promise<undefined> {
    return undefined
  }

  async search(prefix: string, limit: number): Promise<User[]> {
    return (await this.#queries.query<Row>(SEARCH, [normalizedWord(prefix), limit])).map(toUser)
  }

  describe(userId: UserId, description: UserDescription): Promise<User> {
    return this.#queries.transaction((transaction) => describeWithin(transaction, userId, description))
  }
}

async function describeWithin(
  transaction: Queryable,
  userId: UserId,
  { displayName, avatarUrl }: UserDescription,
): Promise<User> {
  const values = [userId, displayName ?? null, displayName !== undefined, avatarUrl ?? null, avatarUrl !== undefined]
  // The row's lock holds until the commit, so two descriptions of one person cannot mix their words.
  const [row] = await transaction.query<Row>(DESCRIBE, values)
  if (!row) throw new Error('a description returned no row')
  if (avatarUrl !== undefined) await transaction.query(REMOVE_PICTURE, [userId])
  await transaction.query(FORGET_WORDS, [userId])
  await transaction.query(ADD_WORDS, [userId, searchWords(userId, row.display_name ?? undefined)])
  return toUser(row)
}

function toUser({ user_id, display_name, avatar }: Row): User {
  return { userId: user_id, displayName: display_name ?? user_id, avatarUrl: avatar ?? undefined }
}

function undescribed(userId: UserId): User {
  return { userId, displayName: userId, avatarUrl: undefined }
}
