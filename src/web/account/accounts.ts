import { type Accounts, createAccounts } from '../../client/accounts.ts'
import type { Auth } from '../../client/types.ts'
import { socketUrl } from '../parts/server.ts'

/** Notifications while no page is open, for whoever is here by whatever way. */
export function pushes(auth: Auth): Accounts['push'] {
  return createAccounts({ url: socketUrl(), auth }).push
}

let made: Accounts | undefined

/** The accounts of this server, as whoever is signed in by the session's cookie. */
export function accounts(): Accounts {
  made ??= createAccounts({ url: socketUrl() })
  return made
}
