// Invites and links: each is good as often as it may be used, until it ends, and within its epoch.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { COMMAND_LINE } from '../../../src/accounts/audit.ts'
import {
  ACTOR,
  type AccountStores,
  openAccountStores,
  opening,
  registration,
  somebody,
} from '../../support/account-store.ts'

let stores: AccountStores

beforeAll(async () => {
  stores = await openAccountStores()
})
afterAll(() => stores?.close())
/** Only while nobody administers is a bootstrap link good. */
beforeEach(() => stores.queries.query('update accounts set role = 0'))

const secret = (): Buffer => Buffer.from(randomUUID())
const enter = (hash: Buffer) =>
  stores.accounts.register(registration({ kind: 'code', hash, mayInvite: true }), opening())

/** What opens a door and is then said of it: who came in with which role, or that nobody did. */
interface Door {
  make(uses?: number): Promise<Buffer>
  use(hash: Buffer): Promise<string | boolean>
}

const DOORS: Readonly<Record<string, Door>> = {
  'an invite': {
    async make(uses = 1) {
      const hash = secret()
      await stores.administration.addInvite(
        { codeId: randomUUID(), hash, role: 'member', uses, lifetimeSeconds: 60 },
        COMMAND_LINE,
      )
      return hash
    },
    use: (hash) => enter(hash).then((outcome) => typeof outcome !== 'string'),
  },
  'a bootstrap link': {
    async make() {
      const hash = secret()
      expect(await stores.accounts.addBootstrapLink(hash, 60, COMMAND_LINE)).toBe(true)
      return hash
    },
    use: (hash) => enter(hash).then((outcome) => typeof outcome !== 'string'),
  },
  'a link that sets a password': {
    async make() {
      const hash = secret()
      const { userId } = (await somebody(stores)).session
      await stores.administration.addResetLink(userId, { hash, lifetimeSeconds: 60 }, COMMAND_LINE)
      return hash
    },
    use: (hash) => stores.accounts.reset(hash, 'phc 2', ACTOR),
  },
}

describe.each(Object.entries(DOORS))('%s', (_, { make, use }) => {
  test('is good once', async () => {
    const hash = await make()
    expect([await use(secret()), await use(hash), await use(hash)]).toEqual([false, true, false])
  })

  test('goes to one of a hundred who come at once', async () => {
    const hash = await make()
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => use(hash)))
    expect(outcomes.filter((isIn) => isIn)).toHaveLength(1)
  })

  test('is good no more once it has ended', async () => {
    const hash = await make()
    for (const table of ['invites', 'one_time_links'])
      await stores.queries.query(`update ${table} set expires_at = clock_timestamp()`)
    expect(await use(hash)).toBe(false)
  })

  test('is good no more in another epoch', async () => {
    const hash = await make()
    await stores.queries.query('update service_state set epoch = $1, renewed_at = now()', [randomUUID()])
    expect(await use(hash)).toBe(false)
    expect(await use(await make())).toBe(true)
  })
})

test('an invite for several lets in exactly so many, however many come at once', async () => {
  const hash = await (DOORS['an invite'] as Door).make(7)
  const outcomes = await Promise.all(Array.from({ length: 30 }, () => enter(hash)))
  expect(outcomes.filter((outcome) => outcome === 'invite_invalid')).toHaveLength(23)
})
