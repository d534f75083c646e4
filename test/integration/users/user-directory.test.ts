import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { PostgresAvatars } from '../../../src/users/avatars.postgres.ts'
import { avatarUrlFault, displayNameFault, searchWords } from '../../../src/users/user.ts'
import { PostgresUserDirectory } from '../../../src/users/user-directory.postgres.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let database: TestDatabase
let opened: Database
let directory: PostgresUserDirectory

beforeAll(async () => {
  database = await createDatabase()
  opened = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  directory = new PostgresUserDirectory(opened.openQueries(4))
})

afterAll(async () => {
  await opened.writerConnection.close()
  await opened.close()
  await database.drop()
})

const ids = (users: readonly { userId: string }[]) => users.map(({ userId }) => userId)

describe('the directory of people', () => {
  test('shows somebody whom nobody described by their id, in the order asked', async () => {
    await directory.describe('ann', { displayName: 'Ann Lee', avatarUrl: 'https://example.com/a.png' })
    expect(await directory.find(['zoe', 'ann', 'zoe'])).toEqual([
      { userId: 'zoe', displayName: 'zoe', avatarUrl: undefined },
      { userId: 'ann', displayName: 'Ann Lee', avatarUrl: 'https://example.com/a.png' },
      { userId: 'zoe', displayName: 'zoe', avatarUrl: undefined },
    ])
  })

  test('changes what is given and leaves the rest; null takes away', async () => {
    await directory.describe('bob', { displayName: 'Bob' })
    await directory.describe('bob', { avatarUrl: 'https://example.com/b.png' })
    expect(await directory.describe('bob', { displayName: null })).toEqual({
      userId: 'bob',
      displayName: 'bob',
      avatarUrl: 'https://example.com/b.png',
    })
  })

  test('finds people by the beginning of their id or of any word of their name, without case', async () => {
    await directory.describe('User-17', { displayName: 'Élodie van der Berg' })
    for (const text of ['user-', 'él', 'BERG', 'van', 'ＢＥＲＧ'])
      expect(ids(await directory.search(text, 20))).toEqual(['User-17'])
    for (const text of ['odie', 'erg', '%', '_']) expect(await directory.search(text, 20)).toEqual([])
  })

  test('finds a changed name and no longer the old one, and each person once', async () => {
    await directory.describe('cid', { displayName: 'Carla Carlsen' })
    expect(ids(await directory.search('carl', 20))).toEqual(['cid'])
    await directory.describe('cid', { displayName: 'Dora' })
    expect(await directory.search('carl', 20)).toEqual([])
    expect(ids(await directory.search('dora', 20))).toEqual(['cid'])
  })

  test('gives so many as are asked for, in the order of their ids', async () => {
    for (const name of ['e3', 'e1', 'e2']) await directory.describe(name, { displayName: 'Eve' })
    expect(ids(await directory.search('eve', 2))).toEqual(['e1', 'e2'])
  })

  test('takes descriptions of one person at once without mixing them', async () => {
    const names = Array.from({ length: 20 }, (_, number) => `Name${String.fromCharCode(97 + number)}`)
    await Promise.all(names.map((displayName) => directory.describe('fay', { displayName })))
    const [{ displayName = '' } = {}] = await directory.find(['fay'])
    const found = await Promise.all(names.map((name) => directory.search(name, 20)))
    expect(names.filter((_, index) => (found[index]?.length ?? 0) > 0)).toEqual([displayName])
  })
})

describe('a picture that was uploaded', () => {
  async function uploaded(userId: string): Promise<{ avatars: PostgresAvatars; id: string }> {
    const avatars = new PostgresAvatars(opened.openQueries(1))
    await avatars.set(userId, { mediaType: 'image/png', width: 1, height: 1 }, Buffer.from('picture'))
    const [user] = await directory.find([userId])
    return { avatars, id: (user?.avatarUrl ?? '').replace('/api/avatars/', '') }
  }

  test.each([null, 'https://example.com/other.png'])('is gone when its address becomes %s', async (avatarUrl) => {
    const { avatars, id } = await uploaded('gus')
    await directory.describe('gus', { displayName: 'Gus' })
    expect(await avatars.find(id)).toMatchObject({ mediaType: 'image/png' })
    await directory.describe('gus', { avatarUrl })
    expect(await avatars.find(id)).toBeUndefined()
    expect(await rowsOf(database.dsn, `select from avatars where user_id = 'gus'`)).toEqual([])
  })

  test('is shown to nobody once its person does not show it, whatever took it away', async () => {
    const { avatars, id } = await uploaded('hal')
    await execute(database.dsn, `update users set avatar_id = null where user_id = 'hal'`)
    expect(await avatars.find(id)).toBeUndefined()
  })
})

describe('a name', () => {
  test.each([
    ['', 'must not be empty'],
    [' \t', 'must not be empty'],
    ['x'.repeat(65), 'may have 64 characters'],
    ['a\nb', 'control characters'],
    ['a\u202eb', 'control characters'],
    ['a\u2066b', 'control characters'],
    ['\ud800', 'well-formed'],
    ['An\u200bn', 'cannot be seen'],
    ['An\u200dn', 'cannot be seen'],
    ['Ann\u200c', 'cannot be seen'],
    ['An\u2060n', 'cannot be seen'],
    ['An\u00adn', 'cannot be seen'],
    ['An\ufeffn', 'cannot be seen'],
    ['An\ufe0fn', 'cannot be seen'],
    ['1\ufe0f', 'cannot be seen'],
    ['An\u034fn', 'cannot be seen'],
    ['An\u3164n', 'cannot be seen'],
    ['An\u{e0061}n', 'cannot be seen'],
    ['مر\u200dيم', 'cannot be seen'],
    ['مريم\u200c', 'cannot be seen'],
    ['👩\u200d', 'cannot be seen'],
    ['👩\u200b👧', 'cannot be seen'],
  ])('is refused: %j', (name, fault) => {
    expect(displayNameFault(name)).toContain(fault)
  })

  test.each([
    ...['Ann', 'Élodie van der Berg', '李雷', 'مريم', '👩‍👩‍👧', 'x'.repeat(64)],
    // Emoji with skin, selector and tags; a letter's variant; joiners of Persian, Hindi, Bengali and Sinhala.
    ...[
      '🕵🏽\u200d♂\ufe0f',
      '❤\ufe0f\u200d🔥 Ann',
      '1\ufe0f\u20e3',
      '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
    ],
    ...['葛\u{e0100}城', 'علی\u200cرضا', 'क्\u200dष', 'র\u200d্যাব', 'ශ්\u200dරී'],
  ])('is taken: %s', (name) => {
    expect(displayNameFault(name)).toBeUndefined()
  })

  test('is found by at most sixteen words', () => {
    expect(searchWords('ann', Array.from({ length: 30 }, (_, number) => `w${number}`).join(' '))).toHaveLength(16)
  })
})

describe('the address of a picture', () => {
  test.each([
    'http://example.com/a.png',
    'javascript:alert(1)',
    'data:image/png;base64,AA',
    '/a.png',
    'https://u:p@example.com/',
  ])('is refused: %s', (url) => {
    expect(avatarUrlFault(url)).toMatch(/^must/)
  })

  test('is taken with https', () => {
    expect(avatarUrlFault('https://example.com/a.png')).toBeUndefined()
  })
})
