import type { UserId } from '../protocol/message.ts'
import { displayNameFault } from '../users/user.ts'
import { type Account, USERNAME_PATTERN } from './account.ts'
import { type Asker, actorOf } from './asker.ts'
import type { ProfileChange, ProfileStore } from './profile-store.ts'
import { AccountRefusal } from './refusal.ts'
import { isUserIdForm } from './secrets.ts'

/** How somebody is called and found, as they decide it. Rejects with an AccountRefusal. */
export class Profiles {
  readonly #store: ProfileStore

  constructor(store: ProfileStore) {
    this.#store = store
  }

  async of(userId: UserId): Promise<Account> {
    const account = await this.#store.find(userId)
    if (!account || account.state === 'deleted') throw new AccountRefusal('not_found')
    return account
  }

  async change(userId: UserId, change: ProfileChange, asker: Asker): Promise<Account> {
    const { username, displayName } = change
    checkNames(username, displayName ?? undefined)
    const outcome = await this.#store.change(userId, change, actorOf(asker, userId))
    if (outcome === 'username_taken') throw new AccountRefusal('username_taken', { field: 'username' })
    return this.of(userId)
  }
}

/** Throws when a name cannot be one. */
export function checkNames(username: string | undefined, displayName: string | undefined): void {
  if (username !== undefined && !USERNAME_PATTERN.test(username)) {
    throw wrongName('username', 'must be 3 to 32 letters, digits or . _ -')
  }
  // An operator who names somebody by an id must never mean whoever took it as a name.
  if (username !== undefined && isUserIdForm(username))
    throw wrongName('username', 'must not have the form of a user id')
  const fault = displayName === undefined ? undefined : displayNameFault(displayName)
  if (fault !== undefined) throw wrongName('display_name', fault)
}

function wrongName(field: string, fault: string): AccountRefusal {
  return new AccountRefusal('invalid_request', { message: `${field} ${fault}.`, field })
}
