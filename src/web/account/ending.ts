import type { Auth } from '../../client/types.ts'
import { accounts } from './accounts.ts'
import { stopPushes } from './pushing.ts'

/** Ends the session of this device at the server, with its notifications. A server that is away hears of it no more. */
export async function endSession(auth: Auth): Promise<void> {
  await stopPushes(auth)
  if ('session' in auth)
    await accounts()
      .logout()
      .catch(() => undefined)
}
