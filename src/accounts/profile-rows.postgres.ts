import type { Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { searchWords } from '../users/user.ts'

const NAMES = `select a.username, u.display_name from accounts a left join users u using (user_id)
  where a.user_id = $1 for no key update of a`
const FORGET_WORDS = 'delete from user_words where user_id = $1'
const ADD_WORDS = 'insert into user_words (word, user_id) select word, $1 from unnest($2::text[]) word'

/** Writes the words by which a person is found, as their names are now. */
export async function nameWords(transaction: Queryable, userId: UserId): Promise<void> {
  const [names] = await transaction.query<{ username: string | null; display_name: string | null }>(NAMES, [userId])
  const words = searchWords(userId, names?.display_name ?? undefined, names?.username)
  await transaction.query(FORGET_WORDS, [userId])
  await transaction.query(ADD_WORDS, [userId, words])
}

/** What is taken away with an account: how the person was shown and found, and every way in. */
const FORGET = [
  'update users set display_name = null, avatar_url = null, avatar_id = null, updated_at = now() where user_id = $1',
  'delete from avatars where user_id = $1',
  FORGET_WORDS,
  'delete from passwords where user_id = $1',
  'delete from recovery_codes where user_id = $1',
  'delete from devices where user_id = $1',
]

export async function forgetPerson(transaction: Queryable, userId: UserId): Promise<void> {
  for (const statement of FORGET) await transaction.query(statement, [userId])
}
