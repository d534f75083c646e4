// Devices that a person signed in from before: how many there may be, and what another password leaves of them.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { COMMAND_LINE } from '../../../src/accounts/audit.ts'
import { ACTOR, type AccountStores, openAccountStores, signIn, somebody } from '../../support/account-store.ts'

let stores: AccountStores

beforeAll(async () => {
  stores = await openAccountStores()
})
afterAll(() => stores?.close())

const device = (): Buffer => Buffer.from(randomUUID())
const isKnown = async (username: string, deviceHash: Buffer) =>
  (await stores.accounts.credentials(username, deviceHash))?.isKnownDevice
/** Somebody who signed in from two devices, the second of them their own. */
async function withDevices() {
  const [stranger, own] = [device(), device()]
  const { verified } = await somebody(stores, { deviceHash: stranger })
  const { userId, username } = verified.account
  const { sessionId } = await signIn(stores, userId, { deviceHash: own })
  const areKnown = async () => [await isKnown(username, stranger), await isKnown(username, own)]
  expect(await areKnown()).toEqual([true, true])
  return { verified, userId, sessionId, areKnown }
}

test('all but the own are unknown after a change of the password', async () => {
  const { verified, sessionId, areKnown } = await withDevices()
  expect(await stores.accounts.changePassword(verified, 'phc 2', sessionId, ACTOR)).toBe(true)
  expect(await areKnown()).toEqual([false, true])
})

test('all are unknown after a change by a token of no session, and by one whose device was not noted', async () => {
  for (const notes of [false, true]) {
    const { verified, userId, sessionId, areKnown } = await withDevices()
    await stores.queries.query('update sessions set device_hash = null where user_id = $1', [userId])
    await stores.accounts.changePassword(verified, 'phc 2', notes ? sessionId : undefined, ACTOR)
    expect(await areKnown()).toEqual([false, false])
  }
})

test('all are unknown after a password was set by a code or a link', async () => {
  const [one, two] = [await withDevices(), await withDevices()]
  const secret = device()
  await stores.accounts.setRecoveryCodes(one.userId, [secret], ACTOR)
  await stores.administration.addResetLink(two.userId, { hash: secret, lifetimeSeconds: 60 }, COMMAND_LINE)
  expect(await stores.accounts.recover(one.userId, secret, 'phc 2', ACTOR)).toBe(true)
  expect(await stores.accounts.reset(secret, 'phc 2', ACTOR)).toBe(true)
  expect([await one.areKnown(), await two.areKnown()]).toEqual([
    [false, false],
    [false, false],
  ])
})

test('are fifty at most: the one that signed in the longest ago goes', async () => {
  const oldest = device()
  const { verified } = await somebody(stores, { deviceHash: oldest })
  const { userId, username } = verified.account
  await stores.queries.query(
    `insert into devices (device_hash, user_id, last_used_at)
     select sha256(n::text::bytea), $1, now() + make_interval(secs => n) from generate_series(1, 49) n`,
    [userId],
  )
  await signIn(stores, userId, { deviceHash: oldest })
  const count = async () => (await stores.queries.query('select from devices where user_id = $1', [userId])).length
  expect([await count(), await isKnown(username, oldest)]).toEqual([50, true])
  const newest = device()
  await stores.queries.query(`update devices set last_used_at = now() - interval '1 day' where device_hash = $1`, [
    oldest,
  ])
  await signIn(stores, userId, { deviceHash: newest })
  expect([await count(), await isKnown(username, oldest), await isKnown(username, newest)]).toEqual([50, false, true])
})
