import { type Accounts, createAccounts } from '../../client/accounts.ts'
import { othersGone } from '../parts/leaving.ts'
import { socketUrl } from '../parts/server.ts'

let made: Accounts | undefined

/** The accounts of this server, as whoever is signed in by the session's cookie. */
export function accounts(): Accounts {
  made ??= afterOthers(createAccounts({ url: socketUrl() }))
  return made
}

/** Whoever comes waits until one who leaves in another tab is gone: the late answer to that would take the cookie of the new session. */
function afterOthers(all: Accounts): Accounts {
  return {
    ...all,
    register: (form) => othersGone().then(() => all.register(form)),
    login: (form) => othersGone().then(() => all.login(form)),
  }
}
