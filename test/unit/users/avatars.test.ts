import { expect, test } from 'vitest'
import { Unavailable } from '../../../src/lib/errors.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { PostgresAvatars } from '../../../src/users/avatars.postgres.ts'

test('pictures that wait to be stored are bounded, and one more is refused at once', async () => {
  let begun = 0
  let end: () => void = () => undefined
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const transaction = (): Promise<void> => {
    begun += 1
    return ended
  }
  const avatars = new PostgresAvatars({ transaction } as unknown as Queries)
  const picture = { mediaType: 'image/png', width: 1, height: 1 } as const
  const set = (): Promise<void> => avatars.set('ann', picture, Buffer.alloc(1))
  const waiting = Array.from({ length: 101 }, set)
  await expect(set()).rejects.toThrow(Unavailable)
  expect(begun).toBe(1)
  end()
  await Promise.all(waiting)
  expect(begun).toBe(101)
})
