// Two changes of one account at once: one waits for the other, whatever else both of them touch.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PostgresAccountDirectory } from '../../../src/accounts/account-directory.postgres.ts'
import type { Credentials } from '../../../src/accounts/account-store.ts'
import { COMMAND_LINE } from '../../../src/accounts/audit.ts'
import { PostgresProfileStore } from '../../../src/accounts/profile-store.postgres.ts'
import { PostgresAvatars } from '../../../src/users/avatars.postgres.ts'
import { ACTOR, type AccountStores, openAccountStores, somebody } from '../../support/account-store.ts'
import { openTransaction, WAITING_FOR_LOCK } from '../../support/transactions.ts'

let stores: AccountStores

beforeAll(async () => {
  stores = await openAccountStores()
})
afterAll(() => stores?.close())

const waiting = (): Promise<object[]> => stores.queries.query(WAITING_FOR_LOCK)
const remove = ({ account }: Credentials) => stores.administration.remove(account.userId, COMMAND_LINE)
const change = (verified: Credentials) => stores.accounts.changePassword(verified, 'phc 2', undefined, ACTOR)
const changeNames = (userId: string) =>
  new PostgresProfileStore(stores.queries).change(userId, { displayName: 'Own' }, ACTOR)
const setPicture = (userId: string) =>
  new PostgresAvatars(stores.queries).set(userId, { mediaType: 'image/png', width: 1, height: 1 }, Buffer.of(1))
/** What is kept of how somebody looks. */
const shown = async (userId: string) => {
  const statement = `select display_name, avatar_id, (select count(*)::int from avatars where user_id = $1) as pictures,
    (select count(*)::int from user_words where user_id = $1) as words from users where user_id = $1`
  return (await stores.queries.query(statement, [userId]))[0]
}
const NOTHING = { display_name: null, avatar_id: null, pictures: 0, words: 0 }
const CODES = [1, 2].map((nth) => Buffer.from(`code ${nth}`))

interface Crossing {
  /** What is locked by another while the first change runs, so that it stops in its middle. */
  readonly held: (userId: string) => string
  readonly first: (verified: Credentials) => Promise<unknown>
  readonly second: (verified: Credentials, link: Buffer) => Promise<unknown>
  readonly outcomes: readonly unknown[]
}

const PASSWORD_ROW = (userId: string) => `select from passwords where user_id = '${userId}' for update`
const CROSSINGS: Readonly<Record<string, Crossing>> = {
  'a deletion and a recovery': {
    held: (userId) => `select from recovery_codes where user_id = '${userId}' and code_hash = 'code 1' for update`,
    first: remove,
    second: ({ account }) => stores.accounts.recover(account.userId, CODES[1] as Buffer, 'phc 3', ACTOR),
    outcomes: ['done', false],
  },
  'a deletion and new recovery codes': {
    held: PASSWORD_ROW,
    first: remove,
    second: ({ account }) => stores.accounts.setRecoveryCodes(account.userId, [Buffer.from('code 3')], ACTOR),
    outcomes: ['done', false],
  },
  'a deletion and a change of names': {
    held: PASSWORD_ROW,
    first: remove,
    second: ({ account }) => changeNames(account.userId).then(() => shown(account.userId)),
    outcomes: ['done', NOTHING],
  },
  'a deletion and a picture': {
    held: (userId) => `select from users where user_id = '${userId}' for update`,
    first: remove,
    second: ({ account }) => setPicture(account.userId).then(() => shown(account.userId)),
    outcomes: ['done', NOTHING],
  },
  'a change of the password and a link': {
    held: (userId) => `select from one_time_links where user_id = '${userId}' and link_hash = '\\x00' for update`,
    first: change,
    second: (_, link) => stores.accounts.reset(link, 'phc 3', ACTOR),
    outcomes: [true, false],
  },
  'a description and a change of names': {
    held: (userId) => `select from avatars where user_id = '${userId}' for update`,
    first: ({ account }) => {
      const directory = new PostgresAccountDirectory(stores.queries)
      return directory.describe(account.userId, { displayName: 'As described', avatarUrl: null }).then(() => 'done')
    },
    second: ({ account }) => changeNames(account.userId),
    outcomes: ['done', 'done'],
  },
}

test.each(Object.entries(CROSSINGS))('%s', async (_, { held, first, second, outcomes }) => {
  const { verified } = await somebody(stores)
  const { userId } = verified.account
  const link = Buffer.from(randomUUID())
  await stores.accounts.setRecoveryCodes(userId, CODES, ACTOR)
  for (const hash of [Buffer.of(0), link]) {
    await stores.administration.addResetLink(userId, { hash, lifetimeSeconds: 60 }, COMMAND_LINE)
  }
  await stores.queries.query(
    `insert into avatars (avatar_id, user_id, media_type, bytes) values (gen_random_uuid(), $1, 'image/png', '')`,
    [userId],
  )
  const another = await openTransaction(stores.created.dsn, held(userId))
  const one = first(verified)
  await expect.poll(waiting, { interval: 5 }).toHaveLength(1)
  const two = second(verified, link)
  await expect.poll(waiting, { interval: 5 }).toHaveLength(2)
  await another.end()
  expect(await Promise.all([one, two])).toEqual(outcomes)
  await stores.queries.query(`delete from one_time_links where link_hash = '\\x00'`)
})
