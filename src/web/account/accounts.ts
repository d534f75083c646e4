import { type Accounts, createAccounts } from '../../client/accounts.ts'
import { announceWhile, othersGone } from '../parts/leaving.ts'
import { socketUrl } from '../parts/server.ts'

let made: Accounts | undefined

/** The accounts of this server, as whoever is signed in by the session's cookie. */
export function accounts(): Accounts {
  made ??= amongTabs(createAccounts({ url: socketUrl() }))
  return made
}

/**
 * Whoever comes waits until one who leaves in another tab is gone: the late answer to that would take the cookie of the new session. And
 * whoever goes says so before their sessions end, of which the other tabs hear at once.
 */
function amongTabs(all: Accounts): Accounts {
  return {
    ...all,
    register: (form) => othersGone().then(() => all.register(form)),
    login: (form) => othersGone().then(() => all.login(form)),
    logoutAll: () => announceWhile(() => all.logoutAll()),
    deleteAccount: (form) => announceWhile(() => all.deleteAccount(form)),
  }
}
