import { expect, test } from 'vitest'
import type { AdminStore } from '../../../src/accounts/admin-store.ts'
import { Administration } from '../../../src/accounts/administration.ts'
import { COMMAND_LINE } from '../../../src/accounts/audit.ts'

test.each(['suspend', 'unsuspend', 'remove'] as const)(
  'to %s somebody ends their sockets at once, and is answered when their conversations have followed',
  async (act) => {
    const done: string[] = []
    const noted = (what: string, outcome?: unknown) => async () => {
      done.push(what)
      return outcome
    }
    const store = {
      [act]: noted('committed', 'done'),
      finishGate: noted('conversations followed'),
      find: noted('told', { userId: 'ann' }),
    } as unknown as AdminStore
    const administration = new Administration({ store, revoked: async () => void done.push('sockets ended') })
    await administration[act]('ann', COMMAND_LINE)
    expect(done.slice(0, 3)).toEqual(['committed', 'sockets ended', 'conversations followed'])
  },
)
