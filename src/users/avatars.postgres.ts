import { Unavailable } from '../lib/errors.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { Queries } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import type { Avatars, StoredAvatar } from './avatars.ts'
import type { Picture } from './picture.ts'

/** A deletion takes names and pictures away; whatever came in before it gets none back. Looked at behind LOCK, which a deletion takes too. */
const IS_DELETED = 'select from accounts where user_id = $1 and state = 2'
/** Locks the row of the person, so that of two pictures at once one is the last. */
const LOCK = `insert into users (user_id) values ($1) on conflict (user_id) do update set updated_at = now()`
const REMOVE = 'delete from avatars where user_id = $1'
const ADD = `with added as (
    insert into avatars (avatar_id, user_id, media_type, bytes) values (gen_random_uuid(), $1, $2, $3) returning avatar_id)
  update users set avatar_url = null, avatar_id = (select avatar_id from added) where user_id = $1`
const FORGET = 'update users set avatar_url = null, avatar_id = null, updated_at = now() where user_id = $1'
/** Only while its person shows it: whatever took it away, its address shows nothing any more. */
const FIND = `select media_type, bytes from avatars join users u using (user_id, avatar_id) where avatar_id = $1`

/** Each may have 256 KiB, and waits in memory: more are refused at once. */
const MAX_WAITING_PICTURES = 100

/** Pictures in the table `avatars`. */
export class PostgresAvatars implements Avatars {
  readonly #queries: Queries
  /** One at a time: a person's name must not wait for pictures. */
  readonly #turns = new Semaphore(1)

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async set(userId: UserId, { mediaType }: Picture, bytes: Buffer): Promise<void> {
    if (this.#turns.waiting >= MAX_WAITING_PICTURES) throw new Unavailable('too many pictures wait to be stored')
    await this.#turns.run(() =>
      this.#queries.transaction(async (transaction) => {
        await transaction.query(LOCK, [userId])
        if ((await transaction.query(IS_DELETED, [userId])).length > 0) return
        await transaction.query(REMOVE, [userId])
        await transaction.query(ADD, [userId, mediaType, bytes])
      }),
    )
  }

  async remove(userId: UserId): Promise<void> {
    await this.#queries.transaction(async (transaction) => {
      await transaction.query(FORGET, [userId])
      await transaction.query(REMOVE, [userId])
    })
  }

  async find(avatarId: string): Promise<StoredAvatar | undefined> {
    const [row] = await this.#queries.query<{ media_type: string; bytes: Buffer }>(FIND, [avatarId])
    return row && { mediaType: row.media_type, bytes: row.bytes }
  }
}
