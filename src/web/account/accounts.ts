import { type Accounts, createAccounts } from '../../client/accounts.ts'
import { socketUrl } from '../parts/server.ts'

let made: Accounts | undefined

/** The accounts of this server, as whoever is signed in by the session's cookie. */
export function accounts(): Accounts {
  made ??= createAccounts({ url: socketUrl() })
  return made
}
