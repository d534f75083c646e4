// @vitest-environment happy-dom
// Whose storage a client opens before the server has said who it is.
import { expect, test } from 'vitest'
import { memoryStorage } from '../../../src/client/index.ts'
import { fakeChat } from '../../support/fake-chat.ts'

test('of several people in one browser it is the one who is expected, not the one who was here last', async () => {
  const { client, server, advance } = fakeChat({ userOf: (token) => token })
  const storage = memoryStorage()
  const fetch = () => Promise.reject(new TypeError('there is no network'))
  const enter = (user: string, more = {}) =>
    client(user, { storage, fetch, auth: { getToken: () => Promise.resolve(user) }, ...more })
  for (const user of ['ann', 'zoe']) {
    const first = enter(user)
    await advance(500)
    server.write(user, 'bob', `hello from ${user}`)
    await advance(500)
    await first.close()
  }
  server.isDown = true
  const [ann, someone] = [enter('ann', { expectedUserId: 'ann' }), enter('ann')]
  await advance(500)
  expect([ann.userId, someone.userId]).toEqual(['ann', 'zoe'])
  expect(ann.conversations.get().map((item) => item.last_message?.content)).toEqual(['hello from ann'])
  // Whoever the server says it is has the last word.
  const other = enter('zoe', { expectedUserId: 'ann' })
  server.isDown = false
  await advance(60_000)
  expect(other.userId).toBe('zoe')
  expect(other.conversations.get().map((item) => item.last_message?.content)).toEqual(['hello from zoe'])
})
